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
import { ISSUED_ALGORITHM, MAX_DELEGATION_LIFE_S, MAX_ISSUED_LIFE_S } from '../identity/issued-token.ts';
import { TokenRefused } from '../identity/refusal.ts';
import { LEEWAY_S } from '../identity/verify-token.ts';
import type { MasterKey } from './master-key.ts';

/*
 * Keys: the signing keys of the broker's own tokens, and the master key that seals them and all other secrets of the
 * database. Rotation and retirement of a key are decided writes (`rotation.ts`).
 */

/** How long a retiring key still verifies. Every token that it signed has expired by then. */
export const RETIREMENT_OVERLAP_MS = (Math.max(MAX_ISSUED_LIFE_S, MAX_DELEGATION_LIFE_S) + LEEWAY_S) * 1000;

/** How long the keys in memory are fresh. Then the store is read again, to detect a rotation by another broker. */
const RELOAD_AFTER_MS = 5_000;
/** How often unknown key ids are a reason to read the store. */
const SOUGHT_AFTER_MS = 500;

/** A signing key as a row. Keys are JWK documents. The private one is sealed for {@link sealedKeyUse}. */
export interface StoredKey {
  /** The RFC 7638 thumbprint. */
  kid: string;
  purpose: 'token';
  /** Empty once the key no longer signs. */
  private_jwk: string;
  public_jwk: string;
  created_ms: number;
  /** When the key stops verifying; null for the active key. */
  retires_ms: number | null;
}

/** The storage of signing keys. */
export interface KeyStore {
  list(): Promise<readonly StoredKey[]>;
  /** Stores the key if none is active. The key MUST be durable when this resolves. */
  insertFirst(key: StoredKey): Promise<void>;
}

/**
 * The signing keys of the broker's own tokens. They change in the store, in the transaction of the decision that allows
 * it (`rotation.ts`).
 */
export interface SigningKeys {
  /**
   * Prepares signing with the newest active key. Call it before the write that decides what is signed: signing then needs
   * nothing more from the store, so an issue that was committed cannot fail on a read. If the key is revoked in between,
   * the token is refused everywhere.
   */
  signer(): Promise<Sign>;
  /** Signs with the newest active key what no write decides. */
  sign: Sign;
  /**
   * The public key with this id, unless it has retired.
   *
   * @throws TokenRefused `key_not_found`
   */
  verifyKey(kid: string | undefined): Promise<CryptoKey>;
  /** The public keys that verify now. */
  jwks(): Promise<JSONWebKeySet>;
  /** Generates a sealed key for a transaction to store. It is not in use until stored. */
  prepare(): Promise<StoredKey>;
  /** Forces a reload before the next use. Called after each commit that changed keys. */
  refresh(): void;
  /** Reads the keys again. @throws the error of the store */
  reload(): Promise<void>;
  /** Registers a callback for changes of the set of keys. */
  onChange(listener: () => void): void;
}

/**
 * Signs claims.
 *
 * @param typ the token type; default `at+jwt`, an RFC 9068 access token
 */
export type Sign = (claims: JWTPayload, typ?: string) => Promise<string>;

/** The use under which the private part of a key is sealed. */
export function sealedKeyUse(kid: string): string {
  return `signing_key:${kid}`;
}

/**
 * Opens the signing keys, and generates the first one if the store has none. They survive restarts. Several brokers on
 * one store detect each other's rotations within seconds, and immediately for an unknown key id.
 */
export async function createSigningKeys({
  store,
  masterKey,
  clock,
}: {
  store: KeyStore;
  masterKey: MasterKey;
  clock: Clock;
}): Promise<SigningKeys> {
  const publicKeys = new Map<string, CryptoKey>();
  const listeners: (() => void)[] = [];
  let rows: readonly StoredKey[] = [];
  let loadedMs = Number.NEGATIVE_INFINITY;
  let begun = 0;
  let taken = 0;
  /** The last unsealed private key, cached because unsealing is expensive. */
  let unsealed: { kid: string; key: CryptoKey } | null = null;

  const reload = async (): Promise<readonly StoredKey[]> => {
    begun += 1;
    const mine = begun;
    const read = await store.list();
    for (const row of read) {
      if (!publicKeys.has(row.kid)) publicKeys.set(row.kid, await importKey(row.public_jwk));
    }
    // If two reads overlap, the one that started later wins.
    if (mine < taken) return read;
    taken = mine;
    const hasChanged = fingerprint(read) !== fingerprint(rows);
    rows = read;
    loadedMs = clock();
    if (unsealed?.kid !== activeKey(rows)?.kid) unsealed = null;
    if (hasChanged) for (const listener of listeners) listener();
    return read;
  };
  /** For verification only: when the store is unavailable, the last keys stay in use, so that reads continue. */
  const reloadIfOlderThan = async (ms: number): Promise<void> => {
    if (Math.abs(clock() - loadedMs) >= ms) await reload().catch(() => undefined);
  };
  let soughtMs = Number.NEGATIVE_INFINITY;
  let seeking: Promise<unknown> = Promise.resolve();
  /** Looks for a key that is not known here: another broker may have made it a moment ago. Anybody can ask for one. */
  const seek = (): Promise<unknown> => {
    if (Math.abs(clock() - soughtMs) >= SOUGHT_AFTER_MS) {
      soughtMs = clock();
      seeking = reload().catch(() => undefined);
    }
    return seeking;
  };
  const verifying = (): StoredKey[] => rows.filter((row) => stateOf(row, clock()) !== 'retired');
  const privateKey = async ({ kid, private_jwk }: StoredKey): Promise<CryptoKey> => {
    if (unsealed?.kid === kid) return unsealed.key;
    const key = await importKey(await masterKey.unseal(private_jwk, sealedKeyUse(kid)));
    unsealed = { kid, key };
    return key;
  };
  const prepare = () => generateKey(masterKey, clock);

  await reload();
  if (activeKey(rows) === undefined) {
    await store.insertFirst(await prepare());
    await reload();
  }

  const signer = async (): Promise<Sign> => {
    // Always from the store: a key that another broker retired MUST NOT sign again.
    const key = activeKey(await reload());
    if (key === undefined) throw new Error('the key store has no active signing key');
    const secret = await privateKey(key);
    return (claims, typ = 'at+jwt') =>
      new SignJWT(claims).setProtectedHeader({ alg: ISSUED_ALGORITHM, typ, kid: key.kid }).sign(secret);
  };

  return {
    signer,
    sign: async (claims, typ) => (await signer())(claims, typ),
    async verifyKey(kid) {
      const find = (): CryptoKey | undefined =>
        verifying().some((row) => row.kid === kid) ? publicKeys.get(kid ?? '') : undefined;
      await reloadIfOlderThan(RELOAD_AFTER_MS);
      if (find() === undefined) await seek();
      const key = find();
      if (key === undefined) throw new TokenRefused('key_not_found');
      return key;
    },
    async jwks() {
      await reloadIfOlderThan(RELOAD_AFTER_MS);
      return { keys: verifying().map((row) => parseJwk(row.public_jwk)) };
    },
    prepare,
    refresh() {
      loadedMs = Number.NEGATIVE_INFINITY;
      // Reload immediately as well, so that caches of verified tokens are notified. A failed read is retried later.
      reload().catch(() => undefined);
    },
    async reload() {
      await reload();
    },
    onChange(listener) {
      listeners.push(listener);
    },
  };
}

/** The states of a key: `active` signs and verifies, `verifying` only verifies, `retired` does neither. */
export const KEY_STATES = ['active', 'verifying', 'retired'] as const;
export type KeyState = (typeof KEY_STATES)[number];

/** @param nowMs epoch milliseconds */
export function stateOf({ retires_ms }: Pick<StoredKey, 'retires_ms'>, nowMs: number): KeyState {
  if (retires_ms === null) return 'active';
  return retires_ms > nowMs ? 'verifying' : 'retired';
}

/** The newest key without a retirement time. Ties are broken by the greatest id, so that all brokers agree. */
export function activeKey<Row extends Pick<StoredKey, 'kid' | 'created_ms' | 'retires_ms'>>(
  rows: readonly Row[],
): Row | undefined {
  return rows
    .filter((row) => row.retires_ms === null)
    .toSorted((a, b) => b.created_ms - a.created_ms || (a.kid < b.kid ? 1 : -1))[0];
}

function fingerprint(rows: readonly StoredKey[]): string {
  return rows.map((row) => `${row.kid}=${row.retires_ms}`).join(' ');
}

async function generateKey(masterKey: MasterKey, clock: Clock): Promise<StoredKey> {
  const { publicKey, privateKey } = await generateKeyPair(ISSUED_ALGORITHM, {
    crv: 'Ed25519',
    extractable: true,
  });
  const publicJwk = await exportJWK(publicKey);
  const kid = await calculateJwkThumbprint(publicJwk, 'sha256');
  const described = { kid, alg: ISSUED_ALGORITHM, use: 'sig' };
  const privateJwk = JSON.stringify({ ...(await exportJWK(privateKey)), ...described });
  return {
    kid,
    purpose: 'token',
    private_jwk: await masterKey.seal(privateJwk, sealedKeyUse(kid)),
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
