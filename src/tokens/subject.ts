import type { Clock } from '../clock.ts';
import { credentialOf } from '../identity/authenticate.ts';
import type { Credential } from '../identity/credential.ts';
import { type IdentityLog, TokenRefused } from '../identity/refusal.ts';
import { tokenIdOf } from '../identity/token-id.ts';
import { LEEWAY_S } from '../identity/verify-token.ts';
import {
  algorithmsOf,
  type IssuerConfig,
  type WorkloadIssuer,
  workloadSettings,
} from '../issuers/issuers.ts';
import type { KeySets } from '../issuers/key-sets.ts';
import { matchTrustRule } from '../trust/match.ts';
import {
  assertNotOfPeople,
  audiencesOfPeople,
  type PlatformToken,
  verifyByRules,
} from '../trust/platform-token.ts';
import type { TrustRule, TrustRules } from '../trust/rules.ts';

/** How long the single use of a subject token is stored beyond its `exp`, in milliseconds. */
const SINGLE_USE_MARGIN_MS = (LEEWAY_S + 5) * 1000;

/** The dependencies of verifying a platform's token. */
export interface SubjectDeps {
  /** The broker's public URL. Its own tokens are not platform tokens. */
  issuer: string;
  workloadIssuers: readonly WorkloadIssuer[];
  /** The issuers of people. A token for one of their audiences is never a workload's. */
  personIssuers: readonly IssuerConfig[];
  keySets: KeySets;
  clock: Clock;
  log: IdentityLog;
}

/** A verified platform token with its trust rule. */
export interface Subject extends PlatformToken {
  rule: TrustRule;
  ruleName: string;
}

/** The single use that an exchange claims: a second one with the same issuer and jti is a replay. */
export interface SingleUse {
  issuer: string;
  jti: string;
  /** When the subject token can no longer be accepted and the claim may be deleted. */
  expires_ms: number;
}

/** The candidate trust rules, and the audience to prefer among matching ones. */
export interface WantedRule {
  /** The rules of one policy, which decides everything about this token. */
  rules: TrustRules;
  kind: TrustRule['kind'];
  audience: string;
  /** The only candidate rule, if one was named. */
  rule?: string | undefined;
}

/**
 * Verifies a platform's token and finds its trust rule, preferably one that grants the audience.
 *
 * @throws TokenRefused
 * @throws BrokerError `issuer_unavailable`
 */
export async function verifySubject(deps: SubjectDeps, token: string, wanted: WantedRule): Promise<Subject> {
  const rules = eligible(wanted);
  const { claims, form } = await verifyPlatformToken(deps, token, rules);
  const { matched, missed } = matchTrustRule(rules, claims);
  const ruleName = chooseRule(rules, matched, wanted.audience);
  const rule = ruleName === undefined ? undefined : rules[ruleName];
  if (ruleName === undefined || rule === undefined) {
    deps.log.warn({ issuer: claims.iss, missed }, 'no trust rule matches');
    throw new TokenRefused('no_trust_rule');
  }
  return { claims, form, rule, ruleName };
}

/**
 * Verifies form, signature and times of a platform's token whose issuer one of the rules names.
 *
 * @throws TokenRefused
 * @throws BrokerError `issuer_unavailable`
 */
export async function verifyPlatformToken(
  deps: SubjectDeps,
  token: string,
  rules: TrustRules,
): Promise<PlatformToken> {
  let settings: WorkloadIssuer | undefined;
  const { claims, form } = await verifyByRules(token, {
    issuer: deps.issuer,
    isTrusted: (issuer) => Object.values(rules).some((rule) => rule.issuer === issuer),
    keysOf: (issuer) => {
      settings = settingsOf(deps.workloadIssuers, issuer);
      return { algorithms: algorithmsOf(settings), keys: deps.keySets.keysOf(settings) };
    },
    clock: deps.clock,
  });
  if (settings !== undefined) await deps.keySets.assertNotWithdrawn(settings);
  assertNotOfPeople(claims, audiencesOfPeople(deps.personIssuers, claims.iss));
  assertLifeLeft(claims.exp, deps.clock(), 'exp');
  return { claims, form };
}

/**
 * Refuses a token that still verifies within the leeway, but leaves no lifetime for an issued token.
 *
 * @param exp seconds since the epoch
 * @param note names the expired token in the log
 * @throws TokenRefused `expired`
 */
export function assertLifeLeft(exp: number, nowMs: number, note: string): void {
  if (exp * 1000 < nowMs + 1000) throw new TokenRefused('expired', note);
}

/** The matching rule that grants the audience, otherwise any matching rule; undefined without a match. */
export function chooseRule(
  rules: TrustRules,
  matched: readonly string[],
  audience: string,
): string | undefined {
  return matched.find((name) => rules[name]?.grant.audiences.includes(audience)) ?? matched[0];
}

function eligible({ rules, kind, rule }: WantedRule): TrustRules {
  return Object.fromEntries(
    Object.entries(rules).filter(
      ([name, content]) => content.kind === kind && (rule === undefined || name === rule),
    ),
  );
}

/** @throws TokenRefused for an issuer that a trust rule names, but whose keys may not be fetched, such as plain http */
function settingsOf(configured: readonly WorkloadIssuer[], issuer: string): WorkloadIssuer {
  const settings = workloadSettings(configured, issuer);
  if (settings === null) throw new TokenRefused('issuer_not_accepted', 'not in workload_issuers');
  return settings;
}

/** The single use of a subject token. @throws TokenRefused `claim_shape` */
export function singleUseOf({ claims, form }: Pick<Subject, 'claims' | 'form'>): SingleUse {
  return {
    issuer: claims.iss,
    jti: tokenIdOf(claims, form.signingInput),
    expires_ms: Math.ceil(claims.exp * 1000) + SINGLE_USE_MARGIN_MS,
  };
}

/** The presented credential, for revocation: the platform's token, which belongs to no session. */
export function platformCredential({ claims, form }: Subject): Credential {
  return { ...credentialOf(form, claims, false), session: null };
}
