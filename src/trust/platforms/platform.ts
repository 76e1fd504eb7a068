import { isGlob } from '../glob.ts';
import { type Claims, type PlatformName, scalarClaim, type TrustRule, wantedOf } from '../rules.ts';

/** One thing that a token is not, as a rule wants it. */
export interface Miss {
  claim: string;
  /** What was wanted: values and patterns, any of them. */
  wanted: readonly string[];
  /** What the token has, in short; null when it has nothing there. */
  has: string | null;
}

/** What is peculiar to the tokens of one platform: what a rule has to say about them, and what no rule can waive. */
export interface Platform {
  /** The claim with the id of whoever started the job, where the platform always names somebody. */
  personClaim?: string;
  name: PlatformName;
  /** True for the issuers that are known to be this platform's. */
  isIssuer(issuer: string): boolean;
  /** Claims that only this platform has: a rule that names one is about it, where the issuer does not tell. */
  ownClaims: RegExp;
  /** Faults of a rule, each with the way to mend it. */
  faults(rule: TrustRule): string[];
  /** What speaks against a token whatever the rule says. */
  misses(rule: TrustRule, claims: Claims): Miss[];
}

/**
 * The fault of a rule that does not pin one of the platform's ids, or pins something that is none.
 *
 * @param id.form what such ids look like
 * @param id.hint where to find it
 */
export function idFaults(
  rule: TrustRule,
  claim: string,
  { form, hint }: { form: RegExp; hint: string },
): string[] {
  const wanted = wantedOf(rule, claim);
  if (wanted.length === 0)
    return [`claims.${claim} is missing: pin ${hint}; names are given to others again`];
  if (wanted.every((value) => form.test(value))) return [];
  return [`claims.${claim} must be exact and an id: write ${hint}, not a name and no *`];
}

/** Ids that are counted. */
export const NUMBER = /^[1-9]\d{0,18}$/;

/** UUIDs as platforms write them. RFC 9562 section 4 */
export const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The fault of a claim with `*`, where each wanted value has to be spelt out; none when it is not there. */
export function globFaults(rule: TrustRule, claim: string, why: string): string[] {
  return wantedOf(rule, claim).some(isGlob) ? [`claims.${claim} must list its values without *: ${why}`] : [];
}

/** A miss unless the claim is one of these values. */
export function missUnless(claims: Claims, claim: string, wanted: readonly string[]): Miss[] {
  const has = scalarClaim(claims, claim);
  return has !== undefined && wanted.includes(has) ? [] : [{ claim, wanted, has: has ?? null }];
}
