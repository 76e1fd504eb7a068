/** Whether a JWK contains private or symmetric key material, whatever its type. */
export function hasPrivateMember(jwk: object): boolean {
  return PRIVATE_MEMBERS.some((member) => Object.hasOwn(jwk, member));
}

/** Members that only private and symmetric keys have. RFC 7518 sections 6.2.2, 6.3.2 and 6.4.1 */
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'];
