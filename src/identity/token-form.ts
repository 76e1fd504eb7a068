import { hasDuplicateMembers } from '../json-members.ts';
import { parseWithUnknownNumbers } from '../json-numbers.ts';
import { TokenRefused } from './refusal.ts';

/** The maximum length of a token, in bytes. A token with 200 groups of 36 characters, the most that Entra sends, fits. */
export const MAX_TOKEN_BYTES = 16_384;

const ACCEPTED_MEMBERS: ReadonlySet<string> = new Set(['alg', 'kid', 'typ']);

/**
 * Certificate thumbprints, as sent by GitHub and Entra. They are ignored. Members that could supply or redirect a key
 * (`jwk`, `jku`, `x5u`, `x5c`) or change the format (`crit`, `zip`, `enc`, `b64`) are refused.
 */
const IGNORED_MEMBERS: ReadonlySet<string> = new Set(['x5t', 'x5t#S256']);

/** The names that a refusal may log, because they are not values of the token. Everything else becomes `other`. */
const NOTED_MEMBERS = ['jwk', 'jku', 'x5u', 'x5c', 'crit', 'zip', 'enc', 'b64'];
const NOTED_TYPES = ['jwt', 'at+jwt', 'logout+jwt', 'dpop+jwt', 'delegation+jwt'];

const KEY_ID = /^[A-Za-z0-9._~:/+=@-]{1,128}$/;

/** A token with an accepted form, whose signature is not verified yet. */
export interface TokenForm {
  header: { alg: string; kid: string | undefined; typ: string | undefined };
  /** The payload, NOT verified: use it only to select the issuer. */
  unverified: Readonly<Record<string, unknown>>;
  /** The signed bytes. They are the same for every encoding of one token. */
  signingInput: string;
}

/**
 * Accepts exactly one encoding of each token, with a header that may name a key but not supply or redirect one.
 *
 * @throws TokenRefused
 * @see RFC 7515 section 3.1, RFC 8725 section 3
 */
export function parseTokenForm(token: string): TokenForm {
  return parseCompactForm(token, MAX_TOKEN_BYTES, readHeader);
}

/** The members of a header or a payload, as received. A number that a double cannot hold is null. */
export type Members = Readonly<Record<string, unknown>>;

/** A compact JWS in its canonical encoding, whose signature is not verified yet. */
export interface CompactForm<Header> extends Pick<TokenForm, 'unverified' | 'signingInput'> {
  header: Header;
}

/**
 * Accepts exactly one encoding of each compact JWS, before any key is looked up or fetched. jose is lenient here
 * (whitespace inside segments, unused trailing bits), which would allow many encodings of one token.
 *
 * @param readHeader refuses a header before the payload is parsed, because a header could change the payload's format
 * @throws TokenRefused
 */
export function parseCompactForm<Header>(
  token: string,
  maxBytes: number,
  readHeader: (header: Members) => Header,
): CompactForm<Header> {
  if (Buffer.byteLength(token) > maxBytes) throw new TokenRefused('oversize');
  const segments = token.split('.');
  const [header, payload, signature] = segments;
  if (segments.length !== 3 || !header || !payload || !signature)
    throw new TokenRefused('not_three_segments', formatOf(segments));
  decodeSegment(signature, 'signature');
  return {
    header: readHeader(parseObject(header, 'header')),
    unverified: parseObject(payload, 'payload'),
    signingInput: `${header}.${payload}`,
  };
}

/** Recognizes the two formats that are closest to a token: an unsigned one, and an encrypted one (RFC 7516). */
function formatOf(segments: readonly string[]): string | undefined {
  if (segments.length === 5) return 'encrypted';
  return segments.length === 3 && segments[2] === '' ? 'unsigned' : undefined;
}

function decodeSegment(segment: string, part: string): Buffer {
  if (!isCanonicalBase64url(segment)) throw new TokenRefused('not_canonical_base64url', part);
  return Buffer.from(segment, 'base64url');
}

/** True for the canonical encoding: no padding, no whitespace and no set unused bits. */
export function isCanonicalBase64url(text: string): boolean {
  return Buffer.from(text, 'base64url').toString('base64url') === text;
}

function parseObject(segment: string, part: string): Members {
  const bytes = decodeSegment(segment, part);
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    value = parseWithUnknownNumbers(text);
  } catch (cause) {
    throw new TokenRefused('not_json', part, cause);
  }
  if (!isPlainObject(value)) throw new TokenRefused('not_json', part);
  if (hasDuplicateMembers(text)) throw new TokenRefused('duplicate_member', part);
  return value;
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function readHeader(header: Members): TokenForm['header'] {
  for (const member of Object.keys(header)) {
    if (!ACCEPTED_MEMBERS.has(member) && !IGNORED_MEMBERS.has(member)) {
      throw new TokenRefused('header_member_not_accepted', noted(member, NOTED_MEMBERS));
    }
  }
  const { alg, kid, typ } = header;
  if (typeof alg !== 'string') throw algorithmRefused(alg);
  if (kid !== undefined && (typeof kid !== 'string' || !KEY_ID.test(kid))) {
    throw new TokenRefused('key_id_not_accepted');
  }
  if (typ !== undefined && typeof typ !== 'string') throw typeRefused(typ);
  return { alg, kid, typ };
}

function noted(word: string, known: readonly string[]): string {
  return known.includes(word) ? word : 'other';
}

/** The refusal of an `alg`. `none` and symmetric algorithms indicate known attacks. @see RFC 8725 section 2.1 */
export function algorithmRefused(alg: unknown): TokenRefused {
  const name = String(alg).toLowerCase();
  const note = name === 'none' ? 'none' : /^hs\d/.test(name) ? 'symmetric' : 'not_allowed';
  return new TokenRefused('algorithm_not_accepted', note);
}

/** The refusal of a `typ`, with the kind of token that was sent instead. */
export function typeRefused(typ: unknown): TokenRefused {
  if (typ === undefined) return new TokenRefused('type_not_accepted', 'missing');
  return new TokenRefused('type_not_accepted', noted(mediaTypeOf(String(typ)), NOTED_TYPES));
}

/** Normalizes a `typ` as a media type: lower case, without `application/`. @see RFC 7515 section 4.1.9 */
export function mediaTypeOf(typ: string): string {
  return typ.toLowerCase().replace(/^application\//, '');
}

/** The token type according to the header's `typ`: `jwt` if it is not more specific. */
export type TokenType = 'jwt' | 'access_token';

/**
 * Reads `typ` as a media type: case-insensitive, with or without `application/`.
 *
 * @throws TokenRefused for every other type, such as `logout+jwt` or `dpop+jwt`
 * @see RFC 9068 section 4, RFC 8725 section 3.11
 */
export function tokenTypeOf(typ: string | undefined): TokenType {
  const type = typ === undefined ? undefined : mediaTypeOf(typ);
  if (type === undefined || type === 'jwt') return 'jwt';
  if (type === 'at+jwt') return 'access_token';
  throw typeRefused(typ);
}
