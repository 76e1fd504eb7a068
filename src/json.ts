import { hash } from 'node:crypto';

/** A value that JSON can carry. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Text that stands in JSON as it is: printable ASCII without quotation mark and backslash. */
const PLAIN = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;

/**
 * Canonical JSON: sorted keys, no white space, so that equal values have equal bytes. Members that are `undefined` are
 * left out, as in `JSON.stringify`.
 *
 * Written here because every decision needs it several times, and this takes half the time of the library that the tests
 * compare it with.
 *
 * @throws TypeError when the value has no JSON form: `undefined`, a function, `NaN`, a string with a lone surrogate, an
 *   object of a class
 * @see RFC 8785
 */
export function canonicalJson(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return canonicalString(value);
    case 'boolean':
      return value ? 'true' : 'false';
    case 'number':
      if (Number.isFinite(value)) return JSON.stringify(value);
      break;
    case 'object':
      if (value === null) return 'null';
      return Array.isArray(value) ? `[${value.map(canonicalJson).join(',')}]` : canonicalObject(value);
  }
  throw new TypeError('value has no JSON form');
}

function canonicalString(text: string): string {
  if (PLAIN.test(text)) return `"${text}"`;
  if (!text.isWellFormed()) throw new TypeError('value has no JSON form: a lone surrogate');
  return JSON.stringify(text);
}

function canonicalObject(value: object): string {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw new TypeError('value has no JSON form: an object of a class');
  }
  let text = '';
  // Without a comparator `sort` orders by UTF-16 code units, as RFC 8785 section 3.2.3 asks for.
  for (const key of Object.keys(value).sort()) {
    const member = (value as Record<string, unknown>)[key];
    if (member === undefined) continue;
    text += `${text === '' ? '' : ','}${canonicalString(key)}:${canonicalJson(member)}`;
  }
  return `{${text}}`;
}

/** SHA-256 as 64 lower-case hex digits. */
export function sha256Hex(data: string | Uint8Array): string {
  return hash('sha256', data, 'hex');
}

/** `sha256:` + hex of SHA-256 over the canonical JSON of the value: how digests are written everywhere. */
export function digestOf(value: unknown): string {
  return `sha256:${sha256Hex(canonicalJson(value))}`;
}
