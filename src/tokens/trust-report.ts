import { z } from 'zod';
import type { Claims } from '../identity/claim.ts';
import { TokenRefused } from '../identity/refusal.ts';
import { parseTokenForm, type TokenForm } from '../identity/token-form.ts';
import { checkTypes, type VerifiedClaims } from '../identity/verify-token.ts';
import { missesOf } from '../trust/match.ts';
import { issuerOf } from '../trust/platform-token.ts';
import type { Miss } from '../trust/platforms/platform.ts';
import { platformOf } from '../trust/platforms/platforms.ts';
import { PLATFORM_NAMES, rulesByName, type TrustRule, type TrustRules } from '../trust/rules.ts';
import { type Applicant, applicantOf } from './applicant.ts';
import { exchangeRefusalSchema, explainRefusal } from './explain-refusal.ts';
import { chooseAudience, chooseScope, grantedLifeS, grantedNamespaces } from './grant.ts';
import { assertLifeLeft, chooseRule } from './subject.ts';

/** The parameters of the hypothetical exchange. */
export interface TrustQuestion {
  audience: string;
  /** Undefined for everything that the rule grants. */
  scope: string[] | undefined;
}

/** The extent of verification before the claims were compared. */
export type Verification =
  | { signature: 'verified' }
  | { signature: 'not_checked' }
  | { signature: 'refused'; cause: TokenRefused };

const ruleKind = z.enum(['workload', 'agent']);

/** The comparison of one trust rule with the token. */
const ruleReportSchema = z
  .object({
    rule: z.string(),
    kind: ruleKind,
    platform: z.enum(PLATFORM_NAMES),
    matches: z.boolean(),
    misses: z
      .array(
        z.object({
          claim: z.string(),
          wanted: z.array(z.string()).readonly().meta({ description: 'The accepted values and patterns.' }),
          has: z.string().nullable().meta({ description: "The token's value, truncated; null if absent." }),
        }) satisfies z.ZodType<Miss>,
      )
      .meta({ description: 'Every claim that does not match.' }),
  })
  .meta({ id: 'TrustRuleReport' });
export type RuleReport = z.infer<typeof ruleReportSchema>;

/** The result that an exchange of the token would have. */
const wouldIssueSchema = z
  .object({
    rule: z.string(),
    kind: ruleKind,
    principal: z.string(),
    person: z.string().nullable().meta({
      description:
        'The person behind the job; also null for an agent, whose person comes with the delegation.',
    }),
    started_by: z.array(z.string()).readonly().meta({
      description: 'The other persons who started the job. They are authors of what it proposes.',
    }),
    audience: z.string(),
    operations: z.array(z.string()),
    environments: z.array(z.string()),
    namespaces: z.array(z.string()),
    token_ttl_s: z.int(),
    require_dpop: z.boolean(),
  })
  .meta({ id: 'WouldIssue' });
export type WouldIssue = z.infer<typeof wouldIssueSchema>;

/** The outcome of a platform's token under a set of trust rules. */
export const trustReportSchema = z
  .object({
    signature: z.enum(['verified', 'not_checked', 'refused']),
    token: z
      .object({
        issuer: z.string().nullable(),
        subject: z.string().nullable(),
        audience: z.unknown(),
        issued_ms: z.int().nullable(),
        expires_ms: z.int().nullable(),
      })
      .nullable()
      .meta({ description: "The token's own claims; null if it is not a token." }),
    rules: z.array(ruleReportSchema).meta({ description: 'All rules, by name.' }),
    would_issue: wouldIssueSchema.nullable(),
    refusal: exchangeRefusalSchema.nullable(),
  })
  .meta({ id: 'TrustReport' });
export type TrustReport = z.infer<typeof trustReportSchema>;

/** The remaining checks of the broker, when the rules alone would issue a token. */
export interface TokenExplanation {
  report: TrustReport;
  applicant: Applicant | null;
}

/**
 * Compares a token with every rule and reports the result of a hypothetical exchange. Nothing is issued or claimed. The
 * report is only as reliable as `verification` states.
 */
export function explainToken(
  rules: TrustRules,
  token: string,
  { asked, nowMs, verification }: { asked: TrustQuestion; nowMs: number; verification: Verification },
): TokenExplanation {
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
    rules: rulesByName(rules).map(([name, rule]) => ruleReport(name, rule, shown)),
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
  assertLifeLeft(claims.exp, nowMs, 'exp');
  return claims;
}

/** Rules for workloads come before rules for agents, because they require no delegation. */
function matchingRule(
  rules: TrustRules,
  reports: readonly RuleReport[],
  { audience }: TrustQuestion,
): { ruleName: string; rule: TrustRule } {
  for (const wanted of ['workload', 'agent'] as const) {
    const matched = reports.filter(({ kind, matches }) => matches && kind === wanted).map(({ rule }) => rule);
    const ruleName = chooseRule(rules, matched, audience);
    const rule = ruleName === undefined ? undefined : rules[ruleName];
    if (ruleName !== undefined && rule !== undefined) return { ruleName, rule };
  }
  throw new TokenRefused('no_trust_rule');
}

function grantOf({ rule, ruleName, parts, exp }: Applicant, asked: TrustQuestion, nowMs: number): WouldIssue {
  const audience = chooseAudience(rule, asked.audience);
  const operations = chooseScope(rule, audience, asked.scope);
  const { grant, kind } = rule;
  return {
    rule: ruleName,
    kind,
    principal: parts.id.replace(/^workload:/, `${kind}:`),
    // Compared as a workload here: who started the job is no person that an agent acts for.
    ...(kind === 'agent'
      ? { person: null, started_by: [parts.person ?? [], parts.started_by].flat() }
      : { person: parts.person, started_by: parts.started_by }),
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

/** @throws any error that is not a refusal */
function refused(
  compared: Pick<TrustReport, 'signature' | 'token' | 'rules'>,
  error: unknown,
): TokenExplanation {
  return { applicant: null, report: { ...compared, would_issue: null, refusal: explainRefusal(error) } };
}
