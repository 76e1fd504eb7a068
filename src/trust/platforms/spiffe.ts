import { isTrustDomain, trustDomainOf } from '../../issuers/spiffe.ts';
import { isGlob } from '../glob.ts';
import { type TrustRule, wantedOf } from '../rules.ts';
import type { Platform } from './platform.ts';

/**
 * SPIFFE JWT-SVIDs. The trust domain of `sub` selects the keys. `iss` is optional there, so it is ignored. A full
 * SPIFFE ID is the only subject that suffices as the sole pin, because its trust domain assigns each once.
 *
 * @see SPIFFE JWT-SVID section 3, SPIFFE-ID section 2
 */
export const spiffe: Platform = {
  name: 'spiffe',
  isIssuer: isTrustDomain,
  ownClaims: /^$/,
  faults: (rule) => {
    const wanted = wantedOf(rule, 'sub');
    if (wanted.length === 0) {
      return [
        `claims.sub is missing: set it to the workload's SPIFFE ID, such as ${rule.issuer}/ns/payments/sa/deploy`,
      ];
    }
    return wanted.flatMap((id) => idFault(rule, id) ?? []);
  },
  misses: () => [],
};

function idFault({ issuer }: TrustRule, id: string): string | null {
  // A * matches within one path segment, so a match is well-formed if the rest is.
  if (trustDomainOf(id.replaceAll('*', 'x')) === null) {
    return 'claims.sub must be the SPIFFE ID of a workload: spiffe://, a trust domain, and a path without empty segments';
  }
  if (!id.startsWith(`${issuer}/`)) return `claims.sub must be in the trust domain of the issuer, ${issuer}`;
  const [first = ''] = id.slice(issuer.length + 1).split('/');
  return isGlob(first)
    ? 'claims.sub must not contain * in the first segment of its path: it would match every workload of the trust domain'
    : null;
}
