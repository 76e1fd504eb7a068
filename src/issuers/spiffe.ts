/** A trust domain in the form used as the issuer of a rule, such as `spiffe://example.org`. SPIFFE-ID section 2.1 */
const TRUST_DOMAIN = /^spiffe:\/\/[a-z0-9._-]{1,255}$/;

/** A path segment of a SPIFFE ID. SPIFFE-ID section 2.2 */
const PATH_PART = /^(?!\.{1,2}$)[A-Za-z0-9._-]+$/;

const SCHEME = 'spiffe://';

/** True for anything with the SPIFFE scheme, well-formed or not. */
export function isSpiffe(text: string): boolean {
  return text.toLowerCase().startsWith(SCHEME);
}

/** True for `spiffe://` and a trust domain, without a path. */
export function isTrustDomain(issuer: string): boolean {
  return TRUST_DOMAIN.test(issuer);
}

/**
 * The trust domain of a workload's SPIFFE ID, such as `spiffe://example.org` of `spiffe://example.org/ns/a/sa/b`.
 *
 * @returns null for an invalid SPIFFE ID of a workload: without a path, or with an empty segment, dots, a port, …
 */
export function trustDomainOf(subject: string): string | null {
  if (!subject.startsWith(SCHEME)) return null;
  const [domain = '', ...path] = subject.slice(SCHEME.length).split('/');
  const trustDomain = `${SCHEME}${domain}`;
  if (!isTrustDomain(trustDomain) || path.length === 0) return null;
  return path.every((part) => PATH_PART.test(part)) ? trustDomain : null;
}
