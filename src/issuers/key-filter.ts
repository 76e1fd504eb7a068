import { createPublicKey, type JsonWebKey } from 'node:crypto';
import type { JSONWebKeySet, JWK } from 'jose';
import { z } from 'zod';
import { hasPrivateMember } from '../identity/jwk.ts';
import { canonicalJson } from '../json.ts';
import { SIGNATURE_ALGORITHMS } from './issuers.ts';
import { isWeakEd25519, isWeakRsa } from './weak-keys.ts';

/** The minimum RSA modulus in bits (RFC 7518 section 3.3), and the maximum, because verification becomes slow. */
const RSA_BITS = { min: 2048, max: 8192 };

const CURVES: ReadonlySet<unknown> = new Set(['prime256v1', 'secp384r1', 'secp521r1']);
const ALGORITHMS: ReadonlySet<unknown> = new Set(SIGNATURE_ALGORITHMS);

/** The purpose of keys: tokens of an issuer, or JWT-SVIDs, whose bundles also contain keys for X.509. */
export type KeyUse = 'sig' | 'jwt-svid';

/** The usable keys of a set, and the skipped ones with reasons. */
export interface UsableKeys {
  keys: JSONWebKeySet;
  skipped: { kid: string | null; reason: SkipReason }[];
}

/** A document that an issuer or an operator provides as its keys, but without a usable one: all keys are withdrawn. */
export class UnusableKeySet extends Error {
  override readonly name = 'UnusableKeySet';
}

/** The reason why a key is skipped. */
export type SkipReason =
  | 'private_key'
  | 'symmetric_key'
  | 'other_use'
  | 'other_algorithm'
  | 'malformed'
  | 'weak'
  | 'ambiguous';

const jwksSchema = z.object({ keys: z.array(z.record(z.string(), z.unknown())).min(1) });

/**
 * Selects the keys of a set that verify token signatures. Skips private and symmetric keys, weak ones, keys for other
 * purposes, and different keys with the same id.
 *
 * @throws UnusableKeySet when it is not a key set
 * @see RFC 7517 section 4.5, RFC 8725 section 3.2, SPIFFE Trust Domain and Bundle section 4.2
 */
export function usableKeys(document: unknown, use: KeyUse): UsableKeys {
  const parsed = jwksSchema.safeParse(document);
  if (!parsed.success) {
    throw new UnusableKeySet('it is not a JSON Web Key Set: it must have a non-empty list "keys"');
  }
  const taken: JWK[] = [];
  const skipped: UsableKeys['skipped'] = [];
  // A key that is also there with its private half is known to everybody.
  const leaked = new Set(parsed.data.keys.filter(showsPrivateHalf).map(publicHalfOf));
  const judged = parsed.data.keys.map((key) => ({
    key,
    fault: reasonToSkip(key, use) ?? (leaked.has(publicHalfOf(key)) ? ('private_key' as const) : null),
  }));
  const namesakes = materialsById(judged.filter(({ fault }) => !isForOthers(fault)).map(({ key }) => key));
  for (const { key, fault } of judged) {
    const reason = fault ?? (isAmbiguous(key, namesakes) ? 'ambiguous' : null);
    if (reason === null) taken.push(forJose(key));
    else skipped.push({ kid: typeof key.kid === 'string' ? key.kid.slice(0, 128) : null, reason });
  }
  return { keys: { keys: unique(taken) }, skipped };
}

/** The distinct reasons, for the message about a set without usable keys. */
export function reasonsOf({ skipped }: UsableKeys): string {
  return [...new Set(skipped.map(({ reason }) => reason))].join(', ');
}

type Key = Readonly<Record<string, unknown>>;

function reasonToSkip(key: Key, use: KeyUse): SkipReason | null {
  if (key.kty === 'oct') return 'symmetric_key';
  if (hasPrivateMember(key)) return 'private_key';
  if (!hasUse(key, use)) return 'other_use';
  if (key.alg !== undefined && !ALGORITHMS.has(key.alg)) return 'other_algorithm';
  if (key.kid !== undefined && typeof key.kid !== 'string') return 'malformed';
  return faultOfMaterial(key);
}

/** A SPIFFE bundle states the use of each key; elsewhere a key may omit it. */
function hasUse({ use, key_ops }: Key, wanted: KeyUse): boolean {
  if (use !== wanted && !(wanted === 'sig' && use === undefined)) return false;
  return key_ops === undefined || (Array.isArray(key_ops) && key_ops.includes('verify'));
}

function faultOfMaterial(key: Key): SkipReason | null {
  try {
    const { asymmetricKeyType, asymmetricKeyDetails } = createPublicKey({
      key: key as JsonWebKey,
      format: 'jwk',
    });
    const { modulusLength = 0, publicExponent = 0n, namedCurve } = asymmetricKeyDetails ?? {};
    if (asymmetricKeyType === 'ed25519') return isWeakEd25519(bytesOf(key.x)) ? 'weak' : null;
    if (asymmetricKeyType === 'ec') return CURVES.has(namedCurve) ? null : 'other_algorithm';
    if (asymmetricKeyType !== 'rsa') return 'other_algorithm';
    if (modulusLength < RSA_BITS.min || modulusLength > RSA_BITS.max) return 'weak';
    return isWeakRsa(BigInt(`0x${bytesOf(key.n).toString('hex')}`), publicExponent) ? 'weak' : null;
  } catch {
    return 'malformed';
  }
}

function bytesOf(member: unknown): Buffer {
  return Buffer.from(String(member), 'base64url');
}

/** A key for another purpose never verifies a token, so its id may be that of a key that does. */
function isForOthers(fault: SkipReason | null): boolean {
  return fault === 'other_use' || fault === 'other_algorithm' || fault === 'symmetric_key';
}

/**
 * Whether different keys have the same id, so that the token would choose among them by its algorithm. The type does not
 * tell them apart, and neither does a fault: the id of a weak key does not vouch for its twin.
 */
function isAmbiguous({ kid }: Key, namesakes: ReadonlyMap<unknown, ReadonlySet<string>>): boolean {
  return kid !== undefined && (namesakes.get(kid)?.size ?? 0) > 1;
}

/** The different keys of each id, in one pass, so that a long list does not block other requests. */
function materialsById(keys: readonly Key[]): ReadonlyMap<unknown, ReadonlySet<string>> {
  const byId = Map.groupBy(keys, ({ kid }) => kid);
  return new Map([...byId].map(([kid, namesakes]) => [kid, new Set(namesakes.map(materialOf))]));
}

function materialOf(key: Key): string {
  return canonicalJson([publicHalfOf(key), key.alg ?? null]);
}

/** A `k` beside a public key is no half of it. */
function showsPrivateHalf({ k: _, ...key }: Key): boolean {
  return hasPrivateMember(key);
}

function publicHalfOf({ kty, n, e, crv, x, y }: Key): string {
  return canonicalJson([kty, n, e, crv, x, y].map((member) => member ?? null));
}

/** jose accepts only keys for `sig`. The purpose of the key is already checked. */
function forJose({ use: _use, key_ops: _operations, ...key }: Key): JWK {
  return key as JWK;
}

function unique(keys: readonly JWK[]): JWK[] {
  return [
    ...new Map(keys.map((key) => [canonicalJson([key.kid ?? null, materialOf(key as Key)]), key])).values(),
  ];
}
