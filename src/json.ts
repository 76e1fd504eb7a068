import { createHash } from 'node:crypto';
import canonicalizeJson from 'canonicalize';

/** A value that JSON can carry. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/**
 * Canonical JSON: sorted keys, no white space, so that equal values have equal bytes.
 *
 * @throws TypeError when the value has no JSON form (`undefined`, a function, `NaN`).
 * @see RFC 8785
 */
export function canonicalJson(value: unknown): string {
  const text = canonicalizeJson(value);
  if (text === undefined) throw new TypeError('value has no JSON form');
  return text;
}

/** SHA-256 as 64 lower-case hex digits. */
export function sha256Hex(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

/** `sha256:` + hex of SHA-256 over the canonical JSON of the value: how digests are written everywhere. */
export function digestOf(value: unknown): string {
  return `sha256:${sha256Hex(canonicalJson(value))}`;
}
