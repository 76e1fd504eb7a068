import { hasDuplicateMembers } from '../json-members.ts';
import { TokenRefused } from './refusal.ts';

/** The longest token that is looked at, in bytes. */
export const MAX_TOKEN_BYTES = 8192;

const ACCEPTED_MEMBERS: ReadonlySet<string> = new Set(['alg', 'kid', 'typ']);

/**
 * Thumbprints of a certificate: GitHub and Entra send them. They are hints that nothing here reads. Everything that
 * could supply or move a key (`jwk`, `jku`, `x5u`, `x5c`) or change the format (`crit`, `zip`, `enc`, `b64`) is refused.
 */
const IGNORED_MEMBERS: ReadonlySet<string> = new Set(['x5t', 'x5t#S256']);

const KEY_ID = /^[A-Za-z0-9._~:/+=@-]{1,128}$/;

/** A token whose form is accepted and whose signature nobody has looked at yet. */
export interface TokenForm {
  header: { alg: string; kid: string | undefined; typ: string | undefined };
  /** The payload, NOT verified: good for choosing the issuer, and for nothing else. */
  unverified: Readonly<Record<string, unknown>>;
  /** What the signature covers. The same for every byte variant of one token. */
  signingInput: string;
}

/**
 * Accepts exactly one byte form of each compact JWS, before any key is looked at or fetched. jose is lenient here
 * (white space inside segments, unused trailing bits), which would give one token many spellings.
 *
 * @throws TokenRefused
 * @see RFC 7515 section 3.1, RFC 8725 section 3
 */
export function parseTokenForm(token: string): TokenForm {
  if (Buffer.byteLength(token) > MAX_TOKEN_BYTES) throw new TokenRefused('oversize');
  const segments = token.split('.');
  const [header, payload, signature] = segments;
  if (segments.length !== 3 || !header || !payload || !signature)
    throw new TokenRefused('not_three_segments');
  decodeSegment(signature);
  return {
    header: parseHeader(parseObject(decodeSegment(header))),
    unverified: parseObject(decodeSegment(payload)),
    signingInput: `${header}.${payload}`,
  };
}

function decodeSegment(segment: string): Buffer {
  const bytes = Buffer.from(segment, 'base64url');
  if (bytes.toString('base64url') !== segment) throw new TokenRefused('not_canonical_base64url');
  return bytes;
}

function parseObject(bytes: Buffer): Record<string, unknown> {
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    value = JSON.parse(text);
  } catch (cause) {
    throw new TokenRefused('not_json', undefined, cause);
  }
  if (!isPlainObject(value)) throw new TokenRefused('not_json');
  if (hasDuplicateMembers(text)) throw new TokenRefused('duplicate_member');
  return value;
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parseHeader(header: Record<string, unknown>): TokenForm['header'] {
  for (const member of Object.keys(header)) {
    if (!ACCEPTED_MEMBERS.has(member) && !IGNORED_MEMBERS.has(member)) {
      throw new TokenRefused('header_member_not_accepted');
    }
  }
  const { alg, kid, typ } = header;
  if (typeof alg !== 'string') throw new TokenRefused('algorithm_not_accepted');
  if (kid !== undefined && (typeof kid !== 'string' || !KEY_ID.test(kid))) {
    throw new TokenRefused('key_id_not_accepted');
  }
  if (typ !== undefined && typeof typ !== 'string') throw new TokenRefused('type_not_accepted');
  return { alg, kid, typ };
}

/** What the header's `typ` says the token is: `jwt` when it says nothing more specific. */
export type TokenType = 'jwt' | 'access_token';

/**
 * Reads `typ` as media types are compared: without case, with or without `application/`.
 *
 * @throws TokenRefused for every other type, such as `logout+jwt` or `dpop+jwt`
 * @see RFC 9068 section 4, RFC 8725 section 3.11
 */
export function tokenTypeOf(typ: string | undefined): TokenType {
  const type = typ?.toLowerCase().replace(/^application\//, '');
  if (type === undefined || type === 'jwt') return 'jwt';
  if (type === 'at+jwt') return 'access_token';
  throw new TokenRefused('type_not_accepted');
}
