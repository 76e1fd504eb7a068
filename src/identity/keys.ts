import {
  type CryptoKey,
  calculateJwkThumbprint,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JSONWebKeySet,
  type JWK,
  type JWTPayload,
  SignJWT,
} from 'jose';
import type { Clock } from '../clock.ts';
import { TokenRefused } from './refusal.ts';
import { LEEWAY_S } from './verify-token.ts';

/** The longest life of a token that the broker issues, in seconds. */
export const MAX_ISSUED_LIFE_S = 900;

/** How long a retired key still verifies: every token that it signed has expired by then. */
export const RETIREMENT_OVERLAP_MS = (MAX_ISSUED_LIFE_S + LEEWAY_S) * 1000;

/** The one algorithm of the broker's own tokens. */
export const ISSUED_ALGORITHM = 'EdDSA';

/** How long the keys in memory are used before the store is read again, so that a rotation elsewhere is noticed. */
const RELOAD_AFTER_MS = 5_000;

/** A signing key as a row. Keys are written as JWK documents. */
export interface StoredKey {
  /** The RFC 7638 thumbprint. */
  kid: string;
  purpose: 'token';
  private_jwk: string;
  public_jwk: string;
  created_ms: number;
  /** From then on the key verifies nothing; null for a key that is in use. */
  retires_ms: number | null;
}

/** Where signing keys live. What `insert` and `retire` wrote MUST be durable when they resolve. */
export interface KeyStore {
  list(): Promise<readonly StoredKey[]>;
  insert(key: StoredKey): Promise<void>;
  /** Sets the retirement of a key that has none yet. */
  retire(kid: string, retiresMs: number): Promise<void>;
}

/** The keys that the broker's own tokens are signed with. */
export interface SigningKeys {
  /** Signs the claims as an RFC 9068 access token with the newest active key. */
  sign(claims: JWTPayload): Promise<string>;
  /**
   * The public key with that id, unless it has retired.
   *
   * @throws TokenRefused `key_not_found`
   */
  verifyKey(kid: string | undefined): Promise<CryptoKey>;
  /** The public keys that verify now. */
  jwks(): Promise<JSONWebKeySet>;
  /** Makes a new active key; the former ones verify for {@link RETIREMENT_OVERLAP_MS} more. Answers the new `kid`. */
  rotate(): Promise<string>;
  /** Calls back whenever the set of keys has changed. */
  onChange(listener: () => void): void;
}

/**
 * Opens the signing keys, and makes the first one if the store has none. A restart keeps them; several brokers on one
 * store see each other's rotations within seconds, and at once for a key id they don't know.
 */
export async function createSigningKeys({
  store,
  clock,
}: {
  store: KeyStore;
  clock: Clock;
}): Promise<SigningKeys> {
  const publicKeys = new Map<string, CryptoKey>();
  const listeners: (() => void)[] = [];
  let rows: readonly StoredKey[] = [];
  let loadedMs = Number.NEGATIVE_INFINITY;

  const reload = async (): Promise<void> => {
    const before = fingerprint(rows);
    rows = await store.list();
    loadedMs = clock();
    for (const row of rows) {
      if (!publicKeys.has(row.kid)) publicKeys.set(row.kid, await importKey(row.public_jwk));
    }
    if (before !== fingerprint(rows)) for (const listener of listeners) listener();
  };
  /** For verifying only: when the store does not answer, the keys read last go on, so that reads outlive it. */
  const reloadIfOlderThan = async (ms: number): Promise<void> => {
    if (Math.abs(clock() - loadedMs) >= ms) await reload().catch(() => undefined);
  };
  const verifying = (): StoredKey[] =>
    rows.filter((row) => row.retires_ms === null || row.retires_ms > clock());

  await reload();
  if (activeKey(rows) === undefined) {
    await store.insert(await generateKey(clock));
    await reload();
  }

  return {
    async sign(claims) {
      // Always from the store: a key that was rotated away elsewhere MUST NOT sign again.
      await reload();
      const key = activeKey(rows);
      if (key === undefined) throw new Error('the key store has no active signing key');
      return new SignJWT(claims)
        .setProtectedHeader({ alg: ISSUED_ALGORITHM, typ: 'at+jwt', kid: key.kid })
        .sign(await importKey(key.private_jwk));
    },
    async verifyKey(kid) {
      const find = (): CryptoKey | undefined =>
        verifying().some((row) => row.kid === kid) ? publicKeys.get(kid ?? '') : undefined;
      await reloadIfOlderThan(RELOAD_AFTER_MS);
      if (find() === undefined) await reloadIfOlderThan(RELOAD_AFTER_MS / 10);
      const key = find();
      if (key === undefined) throw new TokenRefused('key_not_found');
      return key;
    },
    async jwks() {
      await reloadIfOlderThan(RELOAD_AFTER_MS);
      return { keys: verifying().map((row) => parseJwk(row.public_jwk)) };
    },
    async rotate() {
      const former = (await store.list()).filter((row) => row.retires_ms === null);
      const key = await generateKey(clock);
      // In this order there is always an active key, whatever happens in between.
      await store.insert(key);
      for (const { kid } of former) await store.retire(kid, clock() + RETIREMENT_OVERLAP_MS);
      await reload();
      return key.kid;
    },
    onChange(listener) {
      listeners.push(listener);
    },
  };
}

function fingerprint(rows: readonly StoredKey[]): string {
  return rows.map((row) => `${row.kid}=${row.retires_ms}`).join(' ');
}

/** The newest key without a retirement; among equals the one with the greatest id, so that all brokers agree. */
function activeKey(rows: readonly StoredKey[]): StoredKey | undefined {
  return rows
    .filter((row) => row.retires_ms === null)
    .toSorted((a, b) => b.created_ms - a.created_ms || (a.kid < b.kid ? 1 : -1))[0];
}

async function generateKey(clock: Clock): Promise<StoredKey> {
  const { publicKey, privateKey } = await generateKeyPair(ISSUED_ALGORITHM, {
    crv: 'Ed25519',
    extractable: true,
  });
  const publicJwk = await exportJWK(publicKey);
  const kid = await calculateJwkThumbprint(publicJwk, 'sha256');
  const described = { kid, alg: ISSUED_ALGORITHM, use: 'sig' };
  return {
    kid,
    purpose: 'token',
    private_jwk: JSON.stringify({ ...(await exportJWK(privateKey)), ...described }),
    public_jwk: JSON.stringify({ ...publicJwk, ...described }),
    created_ms: clock(),
    retires_ms: null,
  };
}

function parseJwk(text: string): JWK {
  return JSON.parse(text) as JWK;
}

async function importKey(text: string): Promise<CryptoKey> {
  const key = await importJWK(parseJwk(text), ISSUED_ALGORITHM);
  if (key instanceof Uint8Array) throw new Error('a signing key in the store is not an Ed25519 key');
  return key;
}
