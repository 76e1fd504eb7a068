import { createSecretKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { RequestListener } from 'node:http';
import { listenOnLoopback } from '../../fixtures/identity/listen.ts';
import {
  type Authenticator,
  type AuthenticatorDeps,
  createAuthenticator,
} from '../../src/identity/authenticate.ts';
import type { RequestCredentials } from '../../src/identity/credential.ts';
import type { IdentityLog } from '../../src/identity/refusal.ts';
import type { DataCredentials } from '../../src/identity/shown-token.ts';
import { type IssuerConfig, issuerConfigSchema } from '../../src/issuers/issuers.ts';
import { createKeySets, type KeySets, withKeys } from '../../src/issuers/key-sets.ts';
import { createMasterKey } from '../../src/keys/master-key.ts';
import {
  createSigningKeys,
  type KeyStore,
  RETIREMENT_OVERLAP_MS,
  type SigningKeys,
  type StoredKey,
} from '../../src/keys/signing-keys.ts';

/** 2026-11-21T12:00:00Z: the time at which the tests begin. */
export const START_MS = 1_795_262_400_000;
export const START_S = START_MS / 1000;

/** The broker's own `iss` in the tests. */
export const BROKER = 'https://countersign.example';

/** A clock that stands still until it is moved. */
export function createTestClock() {
  let now = START_MS;
  return {
    clock: () => now,
    advance: (ms: number) => {
      now += ms;
    },
  };
}

/** A log that keeps its lines, so that a test can read the reason that the caller never sees. */
export function createTestLog() {
  const lines: { level: string; fields: Record<string, unknown>; message: string }[] = [];
  const write =
    (level: string) =>
    (fields: Record<string, unknown>, message: string): void => {
      lines.push({ level, fields, message });
    };
  const log: IdentityLog = { info: write('info'), warn: write('warn'), error: write('error') };
  return { log, lines, lastReason: () => lines.at(-1)?.fields.reason };
}

/** The master key of the tests. */
export const masterKey = await createMasterKey(createSecretKey(Buffer.alloc(32, 7)));

/** A key store without a disk: what it holds is what a table would hold. */
export function createMemoryKeyStore(): MemoryKeyStore {
  const rows: StoredKey[] = [];
  return {
    rows,
    list: async () => rows.map((row) => ({ ...row })),
    insertFirst: async (key) => {
      if (rows.every((row) => row.retires_ms !== null)) rows.push({ ...key });
    },
    replace: (fresh, nowMs) => {
      for (const row of rows.filter(({ retires_ms }) => retires_ms === null)) {
        Object.assign(row, { retires_ms: nowMs + RETIREMENT_OVERLAP_MS, private_jwk: '' });
      }
      rows.push({ ...fresh });
      return fresh.kid;
    },
  };
}

interface MemoryKeyStore extends KeyStore {
  rows: StoredKey[];
  /** A rotation, as any broker on this store may have done it. @returns the new key's id */
  replace(fresh: StoredKey, nowMs: number): string;
}

/** A key of a test issuer with what is needed to sign anything at all with it. */
export interface TestKey {
  kid: string;
  alg: string;
  privateKey: KeyObject;
  publicJwk: Record<string, unknown>;
}

/** Makes an ES256 key. */
export function createEs256Key(kid: string): TestKey {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = publicKey.export({ format: 'jwk' });
  return { kid, alg: 'ES256', privateKey, publicJwk: { ...jwk, kid, alg: 'ES256', use: 'sig' } };
}

/** Makes an RSA key. */
export function createRsaKey(kid: string, bits = 2048): TestKey {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: bits });
  return {
    kid,
    alg: 'RS256',
    privateKey,
    publicJwk: { ...publicKey.export({ format: 'jwk' }), kid, use: 'sig' },
  };
}

/** Base64url of a text, or of the JSON of anything else. */
export function segment(value: unknown): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
}

/** Signs any header and any payload, well-formed or not: strings are taken as JSON text as they are. */
export function forge(key: TestKey, header: unknown, payload: unknown): string {
  const input = `${segment(header)}.${segment(payload)}`;
  const digest = key.privateKey.asymmetricKeyType === 'ed25519' ? null : 'sha256';
  const signature = sign(digest, Buffer.from(input), { key: key.privateKey, dsaEncoding: 'ieee-p1363' });
  return `${input}.${signature.toString('base64url')}`;
}

/** A server on loopback that counts its requests and answers as configured. */
export async function startServer(answer: RequestListener) {
  let requests = 0;
  let listener = answer;
  const { origin, close } = await listenOnLoopback(0, () => (request, response) => {
    requests += 1;
    listener(request, response);
  });
  return {
    origin,
    close,
    requests: () => requests,
    answer: (next: RequestListener) => {
      listener = next;
    },
  };
}

/** Answers with a key set. */
export function keySetAnswer(...keys: TestKey[]): RequestListener {
  return (_request, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ keys: keys.map((key) => key.publicJwk) }));
  };
}

/** A person issuer's keys and configuration. */
export interface TestIssuer {
  key: TestKey;
  config: IssuerConfig;
  server: Awaited<ReturnType<typeof startServer>>;
  /** A valid ID token of dana with changes; undefined takes a claim away. */
  token(claims?: Record<string, unknown>, header?: Record<string, unknown>): string;
}

/** Starts a person issuer. */
export async function startIssuer(settings: Record<string, unknown> = {}): Promise<TestIssuer> {
  const key = createEs256Key('issuer-key');
  const server = await startServer(keySetAnswer(key));
  const config = issuerConfigSchema.parse({
    key: 'idp',
    issuer: server.origin,
    jwks_uri: `${server.origin}/jwks`,
    allow_insecure_loopback: true,
    audience: 'countersign-cli',
    ...settings,
  });
  const claims = {
    iss: config.issuer,
    sub: 'dana',
    aud: 'countersign-cli',
    iat: START_S,
    exp: START_S + 300,
  };
  return {
    key,
    config,
    server,
    token: (changes = {}, header = {}) =>
      forge(key, { alg: 'ES256', kid: key.kid, ...header }, { ...claims, ...changes }),
  };
}

/** What a request with that Authorization header shows. */
export function presented(authorization: string | undefined): RequestCredentials {
  return {
    authorization,
    dpop: [],
    cookie: undefined,
    method: 'GET',
    target: '/v1/requests',
    origin: undefined,
    fetch_site: undefined,
  };
}

/** What a request for flags with these headers shows. */
export function presentedForFlags(
  headers: Pick<DataCredentials, 'apiKey' | 'dpop'> & { authorization?: string | undefined },
): DataCredentials {
  return { authorization: undefined, method: 'POST', target: '/ofrep/v1/evaluate/flags', ...headers };
}

/** An authenticator with everything around it, on a clock that the test moves. */
export interface Bench extends ReturnType<typeof createTestLog>, ReturnType<typeof createTestClock> {
  authenticator: Authenticator;
  keySets: KeySets;
  keyStore: ReturnType<typeof createMemoryKeyStore>;
  signingKeys: SigningKeys;
}

/** Builds an authenticator for these person issuers. @param revoked which flag readers are revoked; default: nobody */
export async function createBench(
  personIssuers: readonly IssuerConfig[],
  revoked: AuthenticatorDeps['revoked'] = () => null,
): Promise<Bench> {
  const time = createTestClock();
  const logging = createTestLog();
  const keySets = createKeySets({ fetch, clock: time.clock, log: logging.log });
  const keyStore = createMemoryKeyStore();
  const signingKeys = await createSigningKeys({ store: keyStore, masterKey, clock: time.clock });
  const { clock } = time;
  const { log } = logging;
  const authenticator = createAuthenticator({
    issuer: BROKER,
    personIssuers: withKeys(personIssuers, keySets),
    keySets,
    signingKeys,
    clock,
    log,
    revoked,
  });
  return { ...time, ...logging, keySets, keyStore, signingKeys, authenticator };
}
