import { isTrustDomain, trustDomainOf } from '../../issuers/spiffe.ts';
import { isGlob } from '../glob.ts';
import { type TrustRule, wantedOf } from '../rules.ts';
import type { Platform } from './platform.ts';

/**
 * SPIFFE JWT-SVIDs. The trust domain of `sub` says whose keys count, and `iss` is not looked at: it is not guaranteed.
 * A full SPIFFE ID is the one subject that may be the only pin, since its trust domain gives each out once.
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
        `claims.sub is missing: write the workload's SPIFFE ID, such as ${rule.issuer}/ns/payments/sa/deploy`,
      ];
    }
    return wanted.flatMap((id) => idFault(rule, id) ?? []);
  },
  misses: () => [],
};

function idFault({ issuer }: TrustRule, id: string): string | null {
  // A * stands for letters of one part, so what it can become is well-formed where the rest is.
  if (trustDomainOf(id.replaceAll('*', 'x')) === null) {
    return 'claims.sub must be the SPIFFE ID of a workload: spiffe://, a trust domain, and a path without empty parts';
  }
  if (!id.startsWith(`${issuer}/`)) return `claims.sub must be in the trust domain of the issuer, ${issuer}`;
  const [first = ''] = id.slice(issuer.length + 1).split('/');
  return isGlob(first)
    ? 'claims.sub must not have * in the first part of its path: it would take every workload of the trust domain'
    : null;
}
