import type { Claims } from '../../identity/claim.ts';
import { isGlob } from '../glob.ts';
import { type PlatformName, scalarClaim, type TrustRule, wantedOf } from '../rules.ts';

/** The value of {@link Platform.attemptClaim} of a job that was not started again. */
export const FIRST_ATTEMPT = '1';

/** A mismatch between a token and a rule. */
export interface Miss {
  claim: string;
  /** The accepted values and patterns. */
  wanted: readonly string[];
  /** The token's value, truncated; null if absent. */
  has: string | null;
}

/** Names of claims, each of them verified with the token. */
export interface SourceClaims {
  repository: string;
  repository_id?: string;
  commit: string;
  ref: string;
  run: string;
}

/** The specifics of a platform's tokens: what a rule must pin, and checks that no rule can waive. */
export interface Platform {
  /** The claim with the id of the person who started the job, if the platform always provides it. */
  personClaim?: string;
  /** The claim that counts the attempts of a job from 1, if a job that is started again keeps its first person. */
  attemptClaim?: string;
  name: PlatformName;
  /** The claims that say where the code of a job came from, on platforms that build code. */
  sourceClaims?: SourceClaims;
  /** Whether every token has a `jti`. One without it was not issued by this platform as it is documented. */
  hasTokenId?: true;
  /** True for the known issuers of this platform. */
  isIssuer(issuer: string): boolean;
  /** Claims unique to this platform. They identify the platform of a rule if the issuer does not. */
  ownClaims: RegExp;
  /** The faults of a rule, each with its fix. */
  faults(rule: TrustRule): string[];
  /** Mismatches that apply whatever the rule says. */
  misses(rule: TrustRule, claims: Claims): Miss[];
}

/**
 * The fault of a rule that does not pin one of the platform's ids, or pins a malformed one.
 *
 * @param id.form the pattern of such ids
 * @param id.hint where to find it
 */
export function idFaults(
  rule: TrustRule,
  claim: string,
  { form, hint }: { form: RegExp; hint: string },
): string[] {
  const wanted = wantedOf(rule, claim);
  if (wanted.length === 0) return [`claims.${claim} is missing: pin ${hint}; names can be reassigned`];
  if (wanted.every((value) => form.test(value))) return [];
  return [`claims.${claim} must be an exact id: use ${hint}, not a name and without *`];
}

/** Numeric ids. */
export const NUMBER = /^[1-9]\d{0,18}$/;

/** UUIDs as platforms write them. RFC 9562 section 4 */
export const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The fault of a claim with `*` that must list its values; empty if absent. */
export function globFaults(rule: TrustRule, claim: string, why: string): string[] {
  return wantedOf(rule, claim).some(isGlob) ? [`claims.${claim} must list its values without *: ${why}`] : [];
}

/** A mismatch unless the claim is one of these values. */
export function missUnless(claims: Claims, claim: string, wanted: readonly string[]): Miss[] {
  const has = scalarClaim(claims, claim);
  return has !== undefined && wanted.includes(has) ? [] : [{ claim, wanted, has: has ?? null }];
}
