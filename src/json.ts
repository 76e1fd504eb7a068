import { hash } from 'node:crypto';
import canonicalize from 'canonicalize';
import { randomBytesOf } from './random.ts';

/** A value that JSON can represent. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/**
 * Canonical JSON: sorted keys, no white space, so that equal values have equal bytes.
 *
 * @throws Error if the value has no JSON form (`undefined`, a function, `NaN`, a lone surrogate)
 * @see RFC 8785
 */
export function canonicalJson(value: unknown): string {
  const text = canonicalize(value);
  if (text === undefined) throw new TypeError('value has no JSON form');
  return text;
}

/** SHA-256 as 64 lower-case hex digits. */
export function sha256Hex(data: string | Uint8Array): string {
  return hash('sha256', data, 'hex');
}

/** `sha256:` + hex of SHA-256 over the canonical JSON of the value: the form of all digests. */
export function digestOf(value: unknown): string {
  return `sha256:${sha256Hex(canonicalJson(value))}`;
}

/** How a digest looks that {@link digestOf} makes. */
export const DIGEST_PATTERN = /^sha256:[0-9a-f]{64}$/;

/** A salt of 32 random bytes, in base64url. */
export function newSalt(): string {
  return randomBytesOf(32).toString('base64url');
}

/**
 * The digest of a text that may have to be erased: `sha256:` and hex of SHA-256 over salt, label and text, separated by
 * zero bytes, in UTF-8. It can be verified with the salt and the text; without the salt, the text cannot be found by
 * guessing. The label makes digests of equal texts in different places differ.
 *
 * @param salt a value of {@link newSalt}: 43 characters
 */
export function saltedDigest(salt: string, label: string, text: string): string {
  return `sha256:${sha256Hex(`${salt}\0${label}\0${text}`)}`;
}
