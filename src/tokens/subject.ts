import type { Clock } from '../clock.ts';
import type { Credential } from '../identity/credential.ts';
import { type WorkloadIssuer, workloadIssuerSchema } from '../identity/issuers.ts';
import type { KeySets } from '../identity/jwks.ts';
import { type IdentityLog, TokenRefused } from '../identity/refusal.ts';
import { parseTokenForm, type TokenForm, tokenTypeOf } from '../identity/token-form.ts';
import { tokenIdOf } from '../identity/token-id.ts';
import { matchTrustRule, type TrustRule, type TrustRules } from '../identity/trust.ts';
import { LEEWAY_S, type VerifiedClaims, verifyToken } from '../identity/verify-token.ts';

/** How long the single use of a subject token is remembered beyond its `exp`, in milliseconds. */
const SINGLE_USE_MARGIN_MS = (LEEWAY_S + 5) * 1000;

/** What verifying a platform's token needs. */
export interface SubjectDeps {
  /** The broker's public URL; its own tokens are never a platform's. */
  issuer: string;
  /** The trust rules of the active policy bundle. */
  trustRules: () => TrustRules;
  workloadIssuers: readonly WorkloadIssuer[];
  keySets: KeySets;
  clock: Clock;
  log: IdentityLog;
}

/** A verified platform token with the rule that it is trusted under. */
export interface Subject {
  claims: VerifiedClaims;
  form: TokenForm;
  rule: TrustRule;
  ruleName: string;
}

/** The single use that an exchange claims: a second one with the same issuer and jti is a replay. */
export interface SingleUse {
  issuer: string;
  jti: string;
  /** When the subject token can't be accepted any more, so that the claim may be forgotten. */
  expires_ms: number;
}

/**
 * Verifies a platform's token and finds the rule that trusts it, one that grants the audience if there is a choice.
 *
 * @throws TokenRefused
 * @throws BrokerError `issuer_unavailable`
 */
export async function verifySubject(deps: SubjectDeps, token: string, audience: string): Promise<Subject> {
  const form = parseTokenForm(token);
  if (tokenTypeOf(form.header.typ) !== 'jwt') throw new TokenRefused('type_not_accepted');
  const { iss } = form.unverified;
  const rules = deps.trustRules();
  const isTrusted = Object.values(rules).some((rule) => rule.issuer === iss);
  if (typeof iss !== 'string' || iss === deps.issuer || !isTrusted)
    throw new TokenRefused('issuer_not_accepted');

  const settings = settingsOf(deps.workloadIssuers, iss);
  const claims = await verifyToken(token, form, {
    issuer: iss,
    algorithms: settings.algorithms,
    keys: deps.keySets.keysOf(settings),
    clock: deps.clock,
  });
  // Within the leeway it would still verify, but nothing issued could live.
  if (claims.exp * 1000 < deps.clock() + 1000) throw new TokenRefused('expired', 'exp');

  const { matched, missed } = matchTrustRule(rules, claims);
  if (matched.length === 0) {
    deps.log.warn({ issuer: iss, missed }, 'no trust rule matches');
    throw new TokenRefused('no_trust_rule');
  }
  const ruleName = matched.find((name) => rules[name]?.grant.audiences.includes(audience)) ?? matched[0];
  const rule = ruleName === undefined ? undefined : rules[ruleName];
  if (ruleName === undefined || rule === undefined) throw new TokenRefused('no_trust_rule');
  return { claims, form, rule, ruleName };
}

/** @throws TokenRefused for an issuer that a trust rule names, but whose keys may not be fetched (plain http, say) */
function settingsOf(configured: readonly WorkloadIssuer[], issuer: string): WorkloadIssuer {
  const found = configured.find((settings) => settings.issuer === issuer);
  if (found !== undefined) return found;
  const settings = workloadIssuerSchema.safeParse({ issuer });
  if (!settings.success) throw new TokenRefused('issuer_not_accepted', 'it is not under workload_issuers');
  return settings.data;
}

/** The one use of a subject token. @throws TokenRefused `claim_shape` */
export function singleUseOf({ claims, form }: Pick<Subject, 'claims' | 'form'>): SingleUse {
  return {
    issuer: claims.iss,
    jti: tokenIdOf(claims, form.signingInput),
    expires_ms: Math.ceil(claims.exp * 1000) + SINGLE_USE_MARGIN_MS,
  };
}

/** What was shown, for revocation: the platform's token. */
export function credentialOf({ claims, form }: Subject): Credential {
  return {
    issuer: claims.iss,
    token_id: tokenIdOf(claims, form.signingInput),
    kid: null,
    issued_ms: Math.floor(claims.iat * 1000),
    expires_ms: Math.ceil(claims.exp * 1000),
    session: null,
    proof: null,
  };
}
