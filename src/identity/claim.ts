/** Claims of a token. */
export type Claims = Readonly<Record<string, unknown>>;

/** A name as it is, or a JSON Pointer: parts behind `/`, where `~` is written `~0` and `/` is written `~1`. */
const CLAIM_NAME = /^(?:[^/].*|(?:\/(?:[^~/]|~[01])*)+)$/s;

/** True for the name of a claim that {@link claimAt} can follow. @see RFC 6901 section 3 */
export function isClaimName(name: string): boolean {
  return CLAIM_NAME.test(name);
}

/**
 * The value of a token under a name; undefined if absent. Names are taken literally, including dots. A name that begins with
 * `/` is a JSON Pointer into nested claims, such as `/realm_access/roles`.
 *
 * @see RFC 6901 section 4
 */
export function claimAt(claims: Claims, name: string): unknown {
  let value: unknown = claims;
  for (const part of pathOf(name)) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string, unknown>)[part];
  }
  return value;
}

/** The claim of the token itself that a name leads into. */
export function outermostOf(name: string): string {
  return pathOf(name)[0] ?? name;
}

function pathOf(name: string): string[] {
  if (!name.startsWith('/')) return [name];
  return name
    .slice(1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
}
