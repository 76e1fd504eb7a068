import { isAscii } from 'node:buffer';
import type { ParsedLeaf } from './leaf-schema.ts';

/*
 * The short way to read a leaf. Nearly every leaf has the members of version 1 in their order, ASCII without a backslash, and
 * small numbers: its bytes are compared with those that canonical JSON has there, so that nothing is parsed and written again
 * to see whether it is canonical. Whatever is not so is left to `leaf.ts`, which decides: this reads no leaf that it does not
 * read, and none in another way.
 */

const BACKSLASH = 0x5c;
const OTHER_CHARACTER = /[^ -~]/;
const QUOTE = '"';
const ZERO = 0x30;
const NINE = 0x39;
/** Every integer of so many digits is exact. */
const MAX_DIGITS = 15;
const DIGEST = /sha256:[0-9a-f]{64}"/y;
/** The characters of a digest: `sha256:`, and 64 digits. */
const DIGEST_LENGTH = 71;

/** Thrown and caught here alone: made once, since it says nothing. */
const OTHERWISE = new Error('the leaf is to be read the long way');

// What is read, and how far. Reading is never interrupted.
let text = '';
let at = 0;

/** Reads a leaf if it is a plain one. @returns null if it must be read the long way */
export function readPlainLeaf(bytes: Buffer): ParsedLeaf | null {
  if (!isAscii(bytes) || bytes.includes(BACKSLASH)) return null;
  text = bytes.toString('latin1');
  at = 0;
  if (OTHER_CHARACTER.test(text)) return null;
  try {
    const record = readRecord();
    return at === text.length ? record : null;
  } catch (error) {
    if (error === OTHERWISE) return null;
    throw error;
  }
}

function readRecord(): ParsedLeaf {
  skip('{"activates":null,"at_ms":');
  const at_ms = int();
  skip(',"authors":');
  const authors = listOf(string);
  skip(',"correlation":{"ci_run":');
  stringOrNull();
  skip(',"http_request_id":');
  stringOrNull();
  skip('},"digests":{"details":');
  const details = digest();
  skip(',"input":');
  const input = digest();
  skip(',"note":');
  stringOrNull();
  skip(',"reason":');
  stringOrNull();
  skip(',"reasons":');
  stringOrNull();
  skip(',"result":');
  const result = digest();
  skip(',"ticket":');
  stringOrNull();
  skip('},"environment":');
  const environment = stringOrNull();
  skip(',"erases":null,"flags":');
  const flags = listOf(move);
  skip(',"freeze":null,"guardrail":');
  const guardrail = stringOrNull();
  skip(',"id":');
  const id = string();
  skip(',"operation":');
  const operation = string();
  skip(',"outcome":{"codes":');
  const codes = listOf(string);
  skip(',"effect":');
  const effect = effectOf(string());
  skip(',"note":');
  const note = stringOrNull();
  skip(',"obligations":');
  listOf(obligation);
  skip('},"passed":{"exception":');
  const exception = boolean();
  skip(',"freezes":');
  const freezes = listOf(string);
  skip('},"person":');
  const person = stringOrNull();
  skip(',"policy_hash":');
  const policy_hash = string();
  skip(',"principal":{"act":');
  listOf(string);
  skip(',"issuer":');
  const issuer = string();
  skip(',"kind":');
  const kind = string();
  skip(',"pseudonym":');
  string();
  skip(',"trust_rule":');
  stringOrNull();
  skip('},"request":');
  const request = orNull(requestOf);
  skip(',"schema":{"guardrails":');
  const guardrails = orNull(int);
  skip(',"input":');
  const inputVersion = orNull(int);
  skip(',"record":1,"result":');
  const resultVersion = int();
  skip('},"stage":');
  const stage = stringOrNull();
  skip(',"votes":');
  const votes = listOf(string);
  skip('}');
  return {
    activates: null,
    at_ms,
    authors,
    digests: { details, input, result },
    environment,
    erases: null,
    flags,
    freeze: null,
    guardrail,
    id,
    operation,
    outcome: { codes, effect, note },
    passed: { exception, freezes },
    person,
    policy_hash,
    principal: { issuer, kind },
    request,
    schema: { guardrails, input: inputVersion, record: 1, result: resultVersion },
    stage,
    votes,
  };
}

type Move = Extract<ParsedLeaf['flags'], readonly unknown[]>[number];

function move(): Move {
  skip('{"digest":');
  const moved = orNull(digest);
  skip(',"environment":');
  const environment = stringOrNull();
  skip(',"flag":');
  const flag = string();
  const namespace = taken(',"namespace":') ? string() : undefined;
  skip(',"version_after":');
  const version_after = int();
  skip(',"version_before":');
  const version_before = int();
  skip('}');
  return {
    digest: moved,
    environment,
    flag,
    ...(namespace === undefined ? {} : { namespace }),
    version_after,
    version_before,
  };
}

function requestOf(): NonNullable<ParsedLeaf['request']> {
  skip('{"digest":');
  const requested = string();
  skip(',"from":');
  const from = stringOrNull();
  skip(',"id":');
  const id = string();
  skip(',"kind":');
  const kind = string();
  skip(',"object":');
  orNull(objectOf);
  skip(',"to":');
  const to = string();
  skip('}');
  return { digest: requested, from, id, kind, to };
}

function objectOf(): void {
  skip('{"id":');
  string();
  skip(',"type":');
  string();
  skip('}');
}

function obligation(): void {
  skip('{');
  if (taken('"count":')) {
    int();
    skip(',');
  }
  skip('"kind":');
  string();
  if (taken(',"role":')) string();
  skip('}');
}

function effectOf(name: string): 'allow' | 'hold' | 'deny' {
  if (name === 'allow' || name === 'hold' || name === 'deny') return name;
  throw OTHERWISE;
}

/** Goes past what must be there. */
function skip(literal: string): void {
  if (!text.startsWith(literal, at)) throw OTHERWISE;
  at += literal.length;
}

/** Goes past what may be there. */
function taken(literal: string): boolean {
  if (!text.startsWith(literal, at)) return false;
  at += literal.length;
  return true;
}

/** A text without a backslash ends at the next quotation mark. */
function string(): string {
  skip(QUOTE);
  const end = text.indexOf(QUOTE, at);
  if (end < 0) throw OTHERWISE;
  const value = text.slice(at, end);
  at = end + 1;
  return value;
}

function stringOrNull(): string | null {
  return taken('null') ? null : string();
}

function orNull<T>(read: () => T): T | null {
  return taken('null') ? null : read();
}

function digest(): string {
  skip(QUOTE);
  DIGEST.lastIndex = at;
  if (!DIGEST.test(text)) throw OTHERWISE;
  const value = text.slice(at, at + DIGEST_LENGTH);
  at += DIGEST_LENGTH + 1;
  return value;
}

/** A number that is not negative, without zeros before it, and exact. */
function int(): number {
  const from = at;
  let value = 0;
  for (;;) {
    const code = text.charCodeAt(at);
    if (!(code >= ZERO && code <= NINE)) break;
    value = value * 10 + (code - ZERO);
    at += 1;
  }
  const digits = at - from;
  if (digits === 0 || digits > MAX_DIGITS || (digits > 1 && text.charCodeAt(from) === ZERO)) throw OTHERWISE;
  return value;
}

function boolean(): boolean {
  if (taken('false')) return false;
  skip('true');
  return true;
}

/** Not the digest of a list, which is rare. */
function listOf<T>(item: () => T): T[] {
  skip('[');
  const items: T[] = [];
  if (taken(']')) return items;
  do items.push(item());
  while (taken(','));
  skip(']');
  return items;
}
