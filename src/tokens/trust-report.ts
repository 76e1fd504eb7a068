import type { Miss } from '../identity/platforms/platform.ts';
import { platformOf } from '../identity/platforms/platforms.ts';
import { TokenRefused } from '../identity/refusal.ts';
import { MAX_TOKEN_BYTES, parseTokenForm, type TokenForm } from '../identity/token-form.ts';
import type { Claims, PlatformName, TrustRule, TrustRules } from '../identity/trust.ts';
import { missesOf } from '../identity/trust-match.ts';
import { checkTypes, type VerifiedClaims } from '../identity/verify-token.ts';
import { type Applicant, applicantOf } from './applicant.ts';
import { chooseAudience, chooseScope, GrantRefused, grantedLifeS, grantedNamespaces } from './grant.ts';
import { chooseRule, issuerOf } from './subject.ts';

/** What an exchange would be asked for. */
export interface Asked {
  audience: string;
  /** Undefined: whatever the rule grants. */
  scope: string[] | undefined;
}

/** How far the token was verified before its claims were looked at. */
export type Verification =
  | { signature: 'verified' }
  | { signature: 'not_checked' }
  | { signature: 'refused'; cause: TokenRefused };

/** One trust rule and the token. */
export interface RuleReport {
  rule: string;
  kind: TrustRule['kind'];
  platform: PlatformName;
  matches: boolean;
  /** Every claim that keeps the rule from matching. */
  misses: Miss[];
}

/** What an exchange of the token would answer. */
export interface WouldIssue {
  rule: string;
  kind: TrustRule['kind'];
  principal: string;
  /** The human whom the job counts as; null for an agent too, whose person comes with the delegation. */
  person: string | null;
  audience: string;
  operations: string[];
  environments: string[];
  namespaces: string[];
  token_ttl_s: number;
  require_dpop: boolean;
}

/** Why an exchange of the token would be refused. */
export interface Refusal {
  /** What the log would say. */
  reason: string;
  detail: string;
}

/** What becomes of a platform's token under some trust rules. */
export interface TrustReport {
  signature: Verification['signature'];
  /** What the token says of itself; null when it is no token. */
  token: {
    issuer: string | null;
    subject: string | null;
    audience: unknown;
    issued_ms: number | null;
    expires_ms: number | null;
  } | null;
  /** All rules, by name. */
  rules: RuleReport[];
  would_issue: WouldIssue | null;
  refusal: Refusal | null;
}

/** What remains to be asked of an installation, where the rules alone would issue a token. */
export interface Explained {
  report: TrustReport;
  applicant: Applicant | null;
}

/**
 * Compares a token with every rule, and says what an exchange would come to. Nothing is issued or claimed. The claims
 * are those that the token shows, so the answer is worth no more than `verification` says.
 */
export function explainToken(
  rules: TrustRules,
  token: string,
  { asked, nowMs, verification }: { asked: Asked; nowMs: number; verification: Verification },
): Explained {
  const { signature } = verification;
  let form: TokenForm;
  try {
    form = parseTokenForm(token);
  } catch (error) {
    return refused({ signature, token: null, rules: [] }, error);
  }
  const shown: Claims = { ...form.unverified, iss: issuerOf(form.unverified) };
  const compared = {
    signature,
    token: tokenReport(shown),
    rules: Object.entries(rules)
      .toSorted(([one], [other]) => (one < other ? -1 : 1))
      .map(([name, rule]) => ruleReport(name, rule, shown)),
  };
  try {
    if (verification.signature === 'refused') throw verification.cause;
    const claims = presentClaims(shown, nowMs);
    const { ruleName, rule } = matchingRule(rules, compared.rules, asked);
    const applicant = applicantOf({ claims, form, rule, ruleName });
    return {
      applicant,
      report: { ...compared, would_issue: grantOf(applicant, asked, nowMs), refusal: null },
    };
  } catch (error) {
    return refused(compared, error);
  }
}

function presentClaims(shown: Claims, nowMs: number): VerifiedClaims {
  const { iss } = shown;
  if (typeof iss !== 'string') throw new TokenRefused('issuer_not_accepted');
  const claims = checkTypes({ ...shown, iss });
  if (claims.exp * 1000 < nowMs + 1000) throw new TokenRefused('expired', 'exp');
  return claims;
}

/** A rule for workloads before one for agents: the first needs nobody's delegation. */
function matchingRule(
  rules: TrustRules,
  reports: readonly RuleReport[],
  { audience }: Asked,
): { ruleName: string; rule: TrustRule } {
  for (const wanted of ['workload', 'agent'] as const) {
    const matched = reports.filter(({ kind, matches }) => matches && kind === wanted).map(({ rule }) => rule);
    const ruleName = chooseRule(rules, matched, audience);
    const rule = ruleName === undefined ? undefined : rules[ruleName];
    if (ruleName !== undefined && rule !== undefined) return { ruleName, rule };
  }
  throw new TokenRefused('no_trust_rule');
}

function grantOf({ rule, ruleName, parts, exp }: Applicant, asked: Asked, nowMs: number): WouldIssue {
  const audience = chooseAudience(rule, asked.audience);
  const operations = chooseScope(rule, audience, asked.scope);
  const { grant, kind } = rule;
  return {
    rule: ruleName,
    kind,
    principal: parts.id.replace(/^workload:/, `${kind}:`),
    person: kind === 'agent' ? null : parts.person,
    audience,
    operations,
    environments: grant.environments,
    namespaces: grantedNamespaces(rule),
    token_ttl_s: grantedLifeS(rule, {
      policyTtlS: Number.POSITIVE_INFINITY,
      exp,
      iat: Math.floor(nowMs / 1000),
    }),
    require_dpop: grant.require_dpop,
  };
}

function tokenReport({ iss, sub, aud, iat, exp }: Claims): NonNullable<TrustReport['token']> {
  const text = (value: unknown): string | null => (typeof value === 'string' ? value : null);
  const moment = (value: unknown): number | null =>
    typeof value === 'number' && Math.abs(value) < 1e11 ? Math.floor(value * 1000) : null;
  return {
    issuer: text(iss),
    subject: text(sub),
    audience: aud ?? null,
    issued_ms: moment(iat),
    expires_ms: moment(exp),
  };
}

function ruleReport(name: string, rule: TrustRule, claims: Claims): RuleReport {
  const misses = missesOf(rule, claims);
  const { kind } = rule;
  return { rule: name, kind, platform: platformOf(rule).name, matches: misses.length === 0, misses };
}

/** @throws whatever is no refusal */
function refused(compared: Pick<TrustReport, 'signature' | 'token' | 'rules'>, error: unknown): Explained {
  return { applicant: null, report: { ...compared, would_issue: null, refusal: refusalOf(error) } };
}

/** A refusal in the words for whoever may know the reason. @throws whatever is no refusal */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof GrantRefused) return { reason: error.code, detail: `${error.message}.` };
  if (!(error instanceof TokenRefused)) throw error;
  const { reason, note } = error;
  const detail = DETAILS[reason] ?? 'The token is not accepted.';
  return { reason, detail: note === undefined ? detail : `${detail} It is about: ${note}.` };
}

const MALFORMED = 'It is no well-formed JSON Web Token: pass it exactly as the platform gave it.';

/** What each reason means, and what helps. */
const DETAILS: Readonly<Partial<Record<TokenRefused['reason'], string>>> = {
  oversize: `It is longer than ${MAX_TOKEN_BYTES} bytes: let the platform put fewer claims into it.`,
  not_three_segments: MALFORMED,
  not_canonical_base64url: MALFORMED,
  not_json: MALFORMED,
  duplicate_member: MALFORMED,
  header_member_not_accepted: 'Its header has a member that could bring or move a key; platforms send none.',
  algorithm_not_accepted:
    'Its algorithm is not accepted from this issuer: see algorithms in workload_issuers.',
  key_id_not_accepted: 'The key id in its header is not one that is looked up.',
  type_not_accepted: 'It is another kind of token (typ): take the token of the job itself.',
  issuer_not_accepted:
    'No trust rule names its issuer, or its keys may not be fetched: compare it with issuer of the rules, and see workload_issuers.',
  key_not_found: 'Its issuer has no usable key of this name: see jwks_uri and jwks_file in workload_issuers.',
  signature_invalid: 'Its signature is not by the key of its issuer.',
  expired: 'It has expired: get a fresh one.',
  claim_not_accepted: 'A claim that every token needs is missing, or a time does not fit.',
  claim_shape: 'A claim is not of the expected form.',
  logout_token: 'It is a logout token.',
  sender_constrained: 'It is bound to a key of the job (cnf), and cannot be exchanged.',
  no_trust_rule: 'No trust rule matches; misses says for each rule which claims are not as it wants them.',
  claims_too_large: 'The claims that go into the issued token do not fit: let the rule look at fewer.',
  replayed: 'It was exchanged before, and works once: get a fresh one.',
  revoked: 'It, or what would be issued for it, is revoked.',
  policy_denied: 'Policy denies the exchange.',
};
