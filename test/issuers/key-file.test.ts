import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TokenRefused } from '../../src/identity/refusal.ts';
import { MAX_DOCUMENT_BYTES } from '../../src/issuers/fetch-document.ts';
import { FILE_CHECK_MS } from '../../src/issuers/key-file.ts';
import { createKeySets, type KeySource } from '../../src/issuers/key-sets.ts';
import { createEs256Key, createRsaKey, createTestClock, createTestLog } from '../identity/support.ts';

const first = createEs256Key('first').publicJwk;
const second = createEs256Key('second').publicJwk;
let folder: string;
let file: string;
let bench: ReturnType<typeof open>;

function open() {
  const time = createTestClock();
  const logging = createTestLog();
  const refuse: typeof globalThis.fetch = () => Promise.reject(new Error('a key file needs no network'));
  return {
    ...time,
    ...logging,
    keySets: createKeySets({ fetch: refuse, clock: time.clock, log: logging.log }),
  };
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-keys-'));
  file = join(folder, 'jwks.json');
  bench = open();
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function source(issuer = 'https://kubernetes.default.svc'): KeySource {
  return { issuer, jwks_file: file, allow_insecure_loopback: false };
}

const write = (document: unknown): Promise<void> =>
  writeFile(file, typeof document === 'string' ? document : JSON.stringify(document));

async function find(kid: string, from: KeySource = source()): Promise<string> {
  try {
    await bench.keySets.keysOf(from)({ alg: 'ES256', kid }, { payload: '', signature: '', header: {} });
    return 'found';
  } catch (error) {
    return error instanceof TokenRefused ? error.reason : String(error);
  }
}

describe('the keys of a file', () => {
  it('are there without a network, for as long as the file is', async () => {
    await write({ keys: [first] });
    await bench.keySets.readFiles([source()]);
    expect(await find('first')).toBe('found');
    expect(await find('second')).toBe('key_not_found');
    bench.advance(400 * 24 * 3600_000);
    expect(await find('first')).toBe('found');
  });

  it('change with the file, within five seconds of the clock, and listeners are told', async () => {
    let changes = 0;
    bench.keySets.onChange(() => {
      changes += 1;
    });
    await write({ keys: [first] });
    await bench.keySets.readFiles([source()]);
    await write({ keys: [second], comment: 'another size' });
    bench.advance(FILE_CHECK_MS - 1);
    expect(await find('second')).toBe('key_not_found');
    bench.advance(1);
    expect(await Promise.all(Array.from({ length: 20 }, () => find('second')))).toEqual(
      Array(20).fill('found'),
    );
    expect(await find('first')).toBe('key_not_found');
    expect(changes).toBe(1);
  });

  it('change when another file takes its place, as secrets in a cluster do', async () => {
    await write({ keys: [first] });
    await bench.keySets.readFiles([source()]);
    await writeFile(`${file}.new`, JSON.stringify({ keys: [second] }));
    await rename(`${file}.new`, file);
    bench.advance(FILE_CHECK_MS);
    expect(await find('second')).toBe('found');
  });

  it.each<[string, () => Promise<unknown>]>([
    ['is gone', () => rm(file)],
    ['is half written', () => write('{"keys": [')],
    ['is empty', () => write({ keys: [] })],
    ['holds a private key', () => write({ keys: [{ ...second, d: 'AAAA' }] })],
    ['is too large', () => write({ keys: [second], pad: 'x'.repeat(MAX_DOCUMENT_BYTES) })],
  ])('stay the last good ones while the file %s, and the log says so', async (_name, spoil) => {
    await write({ keys: [first] });
    await bench.keySets.readFiles([source()]);
    await spoil();
    bench.advance(FILE_CHECK_MS);
    expect(await find('first')).toBe('found');
    expect(await find('second')).toBe('key_not_found');
    expect(bench.lines).toEqual([
      expect.objectContaining({
        level: 'warn',
        message: 'key file not usable',
        fields: expect.objectContaining({ file }),
      }),
    ]);
    await write({ keys: [second] });
    bench.advance(FILE_CHECK_MS);
    expect(await find('second')).toBe('found');
  });

  it('of a trust domain are those for JWT-SVIDs', async () => {
    await write({
      keys: [
        { ...first, use: 'x509-svid' },
        { ...second, use: 'jwt-svid' },
      ],
    });
    const domain = source('spiffe://acme.example');
    await bench.keySets.readFiles([domain]);
    expect(await find('second', domain)).toBe('found');
    expect(await find('first', domain)).toBe('key_not_found');
  });
});

describe('a key file that cannot be used at the start', () => {
  it.each<[string, unknown, RegExp]>([
    [
      'holds a private key',
      { keys: [first, { ...second, d: 'c2VjcmV0' }] },
      /private key \(kid second\).*replace that key/,
    ],
    ['holds a symmetric key', { keys: [{ kty: 'oct', k: 'c2VjcmV0' }] }, /private key/],
    ['is no JSON', '-----BEGIN PRIVATE KEY-----', /not valid JSON/],
    ['is no key set', { hello: 1 }, /must have a non-empty list "keys"/],
    ['has a member twice', '{"keys": [], "keys": []}', /duplicate object member/],
    [
      'has weak keys only',
      { keys: [createRsaKey('weak', 1024).publicJwk] },
      /none of its keys is usable \(weak\)/,
    ],
    ['is too large', { keys: [first], pad: 'x'.repeat(MAX_DOCUMENT_BYTES) }, /exceeds/],
  ])('is named with the reason when it %s, and shows nothing of it', async (_name, document, reason) => {
    await write(document);
    const failure = await bench.keySets.readFiles([source()]).catch((error: Error) => error.message);
    expect(failure).toMatch(reason);
    expect(failure).toContain(file);
    expect(failure).not.toMatch(/c2VjcmV0|BEGIN/);
  });

  it('is named when it is not there, with all the others', async () => {
    const other = { ...source('https://two.example'), jwks_file: join(folder, 'two.json') };
    const failure = await bench.keySets.readFiles([source(), other]).catch((error: Error) => error.message);
    expect(failure).toContain(file);
    expect(failure).toContain('two.json');
  });

  it('has keys for X.509 only, where JWT-SVIDs are wanted', async () => {
    await write({ keys: [{ ...first, use: 'x509-svid' }] });
    await expect(bench.keySets.readFiles([source('spiffe://acme.example')])).rejects.toThrow(
      'it requires a public key with "use": "jwt-svid"',
    );
  });
});
