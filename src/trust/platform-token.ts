import type { Clock } from '../clock.ts';
import type { Claims } from '../identity/claim.ts';
import { TokenRefused } from '../identity/refusal.ts';
import {
  mediaTypeOf,
  parseTokenForm,
  type TokenForm,
  tokenTypeOf,
  typeRefused,
} from '../identity/token-form.ts';
import { type Expectation, type VerifiedClaims, verifyToken } from '../identity/verify-token.ts';
import { isSpiffe, isTrustDomain, trustDomainOf } from '../issuers/spiffe.ts';

/** A verified platform token. Its `iss` is the issuer as in trust rules: for SPIFFE the trust domain. */
export interface PlatformToken {
  claims: VerifiedClaims;
  form: TokenForm;
}

/** What verifies platform tokens. */
export interface PlatformTrust {
  /** The broker's public URL. Its own tokens are not platform tokens. */
  issuer: string;
  /** Whether a trust rule names the issuer. */
  isTrusted(issuer: string): boolean;
  /** The keys of such an issuer. @throws TokenRefused, BrokerError */
  keysOf(issuer: string): Pick<Expectation, 'algorithms' | 'keys'>;
  clock: Clock;
}

/**
 * Verifies form, signature and times of a platform's token whose issuer a trust rule names.
 *
 * @throws TokenRefused
 * @throws BrokerError `issuer_unavailable`
 */
export async function verifyByRules(token: string, trust: PlatformTrust): Promise<PlatformToken> {
  const form = parseTokenForm(token);
  const issuer = issuerOf(form.unverified);
  if (issuer === null || issuer === trust.issuer || !trust.isTrusted(issuer))
    throw new TokenRefused('issuer_not_accepted');
  if (!isPlatformType(form.header.typ, issuer)) throw typeRefused(form.header.typ);
  const claims = await verifyToken(token, form, {
    issuer,
    isNamedByKeys: isTrustDomain(issuer),
    ...trust.keysOf(issuer),
    clock: trust.clock,
  });
  return { claims, form };
}

/**
 * The issuer as in trust rules: `iss`, or for a SPIFFE ID its trust domain, whatever `iss` the token has. The two
 * cannot be confused: an `iss` in the form of a trust domain is not accepted.
 */
export function issuerOf({ iss, sub }: Claims): string | null {
  if (typeof sub === 'string' && isSpiffe(sub)) return trustDomainOf(sub);
  return typeof iss === 'string' && !isSpiffe(iss) ? iss : null;
}

/**
 * Refuses a token that its issuer issues to people who sign in here. As a workload token it would give a person a second
 * principal, which could propose what the first one approves. RFC 8725 section 3.12
 *
 * @param people the audiences of people at the issuer
 * @throws TokenRefused `audience_not_accepted`
 */
export function assertNotOfPeople({ aud }: VerifiedClaims, people: readonly string[]): void {
  const audiences = typeof aud === 'string' ? [aud] : aud;
  if (audiences.some((name) => people.includes(name)))
    throw new TokenRefused('audience_not_accepted', 'of people');
}

/** The audiences with which people are signed in at an issuer. */
export function audiencesOfPeople(
  personIssuers: readonly { issuer: string; audience: readonly string[] }[],
  issuer: string,
): string[] {
  return personIssuers.flatMap((each) => (each.issuer === issuer ? each.audience : []));
}

/** JWT-SVID section 2.3: `typ` may be `JOSE` there. */
function isPlatformType(typ: string | undefined, issuer: string): boolean {
  if (typ !== undefined && isTrustDomain(issuer) && mediaTypeOf(typ) === 'jose') return true;
  return tokenTypeOf(typ) === 'jwt';
}
