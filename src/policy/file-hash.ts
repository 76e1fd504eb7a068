import { sha256Hex } from '../json.ts';
import type { BundleFiles } from './archive.ts';
import { dataParser } from './bundle-data.ts';
import { parseBundleJson } from './bundle-json.ts';

/**
 * The SHA-256 of a file of a bundle as `opa sign` writes it, in hex: over the bytes, and of a structured file over its
 * content in a canonical form, so that white space and the order of members do not matter.
 *
 * @throws Error if a structured file cannot be read
 * @see OPA documentation, "Signature Format"; `v1/bundle/hash.go` of OPA 1.22
 */
export function fileHash(path: string, bytes: NonNullable<ReturnType<BundleFiles['get']>>): string {
  const name = path.slice(path.lastIndexOf('/') + 1);
  const parse = name === '.manifest' ? parseBundleJson : dataParser(path);
  if (parse === undefined) return sha256Hex(bytes);
  const value = parse(bytes);
  return sha256Hex(canonical(parse === parseBundleJson ? withNumbers(bytes) : value));
}

/** A number as it is written. Go keeps it so, and JavaScript would change 1.0 to 1. */
class WrittenNumber {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** The reviver's third argument, which the types lack (ECMA-262, "JSON.parse source text access"). */
type Reviver = (key: string, value: unknown, context: { source: string }) => unknown;

function withNumbers(bytes: Uint8Array): unknown {
  const revive: Reviver = (_key, value, { source }) =>
    typeof value === 'number' ? new WrittenNumber(source) : value;
  return JSON.parse(Buffer.from(bytes).toString('utf8'), revive as Parameters<typeof JSON.parse>[1]);
}

function canonical(value: unknown): string {
  if (value instanceof WrittenNumber) return value.text;
  if (typeof value === 'string') return stringOf(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value)
    .map(([name, member]) => ({ name, bytes: Buffer.from(name), member: member as unknown }))
    // By bytes: JavaScript would sort characters beyond U+FFFF before others.
    .toSorted((one, other) => Buffer.compare(one.bytes, other.bytes));
  return `{${members.map(({ name, member }) => `${stringOf(name)}:${canonical(member)}`).join(',')}}`;
}

/** Go always escapes these two. */
function stringOf(text: string): string {
  return JSON.stringify(text).replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029');
}
