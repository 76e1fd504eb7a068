import { hash } from 'node:crypto';
import { calculateJwkThumbprint, compactVerify, importJWK, type JWK } from 'jose';
import { z } from 'zod';
import type { Clock } from '../clock.ts';
import { PROOF_ALGORITHMS, type Proof, type RequestCredentials } from './credential.ts';
import { hasPrivateMember } from './jwk.ts';
import { TokenRefused } from './refusal.ts';
import {
  type CompactForm,
  isCanonicalBase64url,
  type Members,
  mediaTypeOf,
  parseCompactForm,
} from './token-form.ts';
import { LEEWAY_S } from './verify-token.ts';

/** The maximum length of a proof in bytes: room for an RSA key of 4096 bits and its signature. */
const MAX_PROOF_BYTES = 4096;

/** How long after its `iat` a proof is accepted, in seconds. Before `iat`, the clock leeway applies. */
const PROOF_LIFE_S = 60;

/** The fault of a refused proof; for the log only. */
type ProofFault =
  | 'missing'
  | 'several'
  | 'form'
  | 'header_member'
  | 'type'
  | 'algorithm'
  | 'key'
  | 'key_mismatch'
  | 'signature'
  | 'htm'
  | 'htu'
  | 'iat'
  | 'jti'
  | 'ath';

/** What a proof must match. */
export interface ProofExpectation {
  /**
   * The broker's public URL, without a path. The client must have signed this URL, whatever host a proxy or caller
   * names.
   */
  publicUrl: string;
  clock: Clock;
  /** The accompanying token and its bound key; null at the token endpoint, where there is no token yet. */
  bound: { token: string; jkt: string } | null;
}

/** The parts of a request that a proof check needs. */
export type ShownProof = Pick<RequestCredentials, 'dpop' | 'method' | 'target'>;

/**
 * Verifies the DPoP proof of a request: a single header, one canonical form, a valid signature by the embedded public
 * key, and a match with this request and time. The caller must check for replays. No nonce is required, because a proof
 * works once and for one minute only.
 *
 * @throws TokenRefused `proof_not_accepted`, with the exact fault as its note
 * @see RFC 9449 section 4.3
 */
export async function verifyProof(shown: ShownProof, expected: ProofExpectation): Promise<Proof> {
  const proof = soleProof(shown.dpop);
  const form = formOf(proof);
  const key = readKey(form.header);
  const jkt = await calculateJwkThumbprint(key.jwk, 'sha256').catch(refusing('key'));
  if (expected.bound !== null && expected.bound.jkt !== jkt) throw refused('key_mismatch');
  await verifySignature(proof, key);
  const { jti, expires_ms } = checkClaims(form.unverified, shown, expected);
  return { jkt, jti, expires_ms };
}

function soleProof(headers: readonly string[]): string {
  const [proof] = headers;
  if (proof === undefined) throw refused('missing');
  // Some servers and proxies join repeated headers with a comma, which no proof contains.
  if (headers.length > 1 || proof.includes(',')) throw refused('several');
  return proof;
}

function formOf(proof: string): CompactForm<Members> {
  try {
    return parseCompactForm(proof, MAX_PROOF_BYTES, (header) => header);
  } catch (cause) {
    throw refused('form', cause);
  }
}

const coordinate = z.string().min(1).refine(isCanonicalBase64url);
const ecKey = (crv: string) =>
  z.object({ kty: z.literal('EC'), crv: z.literal(crv), x: coordinate, y: coordinate });
const ed25519Key = z.object({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: coordinate });
// The only public exponent in use. A huge one would slow down verification.
const rsaKey = z.object({ kty: z.literal('RSA'), n: coordinate, e: z.literal('AQAB') });

/** The public key of each algorithm. Other members of the JWK are ignored. */
const KEYS = {
  ES256: ecKey('P-256'),
  ES384: ecKey('P-384'),
  EdDSA: ed25519Key,
  Ed25519: ed25519Key,
  PS256: rsaKey,
  RS256: rsaKey,
} as const satisfies Record<(typeof PROOF_ALGORITHMS)[number], z.ZodType>;

const algorithmSchema = z.enum(PROOF_ALGORITHMS);

interface ProofKey {
  alg: keyof typeof KEYS;
  jwk: JWK;
}

function readKey({ typ, alg, jwk, ...others }: Members): ProofKey {
  if (Object.keys(others).length > 0) throw refused('header_member');
  if (typeof typ !== 'string' || mediaTypeOf(typ) !== 'dpop+jwt') throw refused('type');
  const algorithm = algorithmSchema.safeParse(alg);
  if (!algorithm.success) throw refused('algorithm');
  const key = KEYS[algorithm.data].safeParse(jwk);
  // A client that sends its private key has disclosed it.
  if (!key.success || hasPrivateMember(jwk as object)) throw refused('key');
  return { alg: algorithm.data, jwk: key.data };
}

async function verifySignature(proof: string, { alg, jwk }: ProofKey): Promise<void> {
  const key = await importJWK(jwk, alg).catch(refusing('key'));
  await compactVerify(proof, key, { algorithms: [alg] }).catch(refusing('signature'));
}

function checkClaims(
  claims: Members,
  { method, target }: ShownProof,
  { publicUrl, clock, bound }: ProofExpectation,
): Pick<Proof, 'jti' | 'expires_ms'> {
  const { htm, htu, iat, jti, ath } = claims;
  if (htm !== method) throw refused('htm');
  const asked = comparable(`${publicUrl}${pathOf(target)}`);
  if (typeof htu !== 'string' || asked === null || comparable(htu) !== asked) throw refused('htu');
  if (typeof iat !== 'number' || !isNow(iat, clock())) throw refused('iat');
  if (typeof jti !== 'string' || !/^[\x20-\x7e]{1,128}$/.test(jti)) throw refused('jti');
  if (bound !== null && ath !== hash('sha256', bound.token, 'base64url')) throw refused('ath');
  // A use must not be forgotten too early for a clock that is set back by the leeway.
  return { jti, expires_ms: Math.ceil(iat * 1000) + (PROOF_LIFE_S + LEEWAY_S) * 1000 };
}

function isNow(iat: number, nowMs: number): boolean {
  const ageMs = nowMs - iat * 1000;
  return ageMs <= PROOF_LIFE_S * 1000 && ageMs >= -LEEWAY_S * 1000;
}

/** The path of a request target. A target in absolute form stays unchanged, and matches no address of the broker. */
function pathOf(target: string): string {
  return target.startsWith('/') ? target : `/${target}`;
}

/**
 * Normalizes an address for comparison: scheme, host, port and path, without query and fragment.
 *
 * @returns null for an invalid address, or one with credentials
 * @see RFC 9449 section 4.3, RFC 3986 sections 6.2.2 and 6.2.3
 */
function comparable(address: string): string | null {
  if (!URL.canParse(address)) return null;
  const { origin, pathname, username, password } = new URL(address);
  if (username !== '' || password !== '') return null;
  return `${origin}${pathname.replace(/%[0-9a-f]{2}/gi, decodeUnreserved)}`;
}

function decodeUnreserved(escaped: string): string {
  const character = String.fromCharCode(Number.parseInt(escaped.slice(1), 16));
  return /[A-Za-z0-9._~-]/.test(character) ? character : escaped.toUpperCase();
}

function refused(fault: ProofFault, cause?: unknown): TokenRefused {
  return new TokenRefused('proof_not_accepted', fault, cause);
}

function refusing(fault: ProofFault): (cause: unknown) => never {
  return (cause) => {
    throw refused(fault, cause);
  };
}
