/**
 * True when an `If-None-Match` header contains the tag. Uses weak comparison, as the header requires.
 *
 * @see RFC 9110 13.1.2
 */
export function isNoneMatch(header: string | undefined, tag: string): boolean {
  if (header === undefined) return false;
  if (header === tag || header === '*') return true;
  return header.split(',').some((candidate) => candidate.trim().replace(/^W\//, '') === tag);
}
