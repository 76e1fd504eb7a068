import { describe, expect, it } from 'vitest';
import { SnapshotFault } from '../../src/snapshot/fault.ts';
import { openLatest } from '../../src/snapshot/latest.ts';
import { signPointer } from '../../src/snapshot/pointer.ts';
import {
  type ExpectedReaders,
  MAX_READERS_BYTES,
  openReaders,
  type ReadersClaims,
  readersDigest,
  signReaders,
} from '../../src/snapshot/readers.ts';
import {
  claimsOf,
  headerOf,
  jwsOf,
  latestOf,
  leafOf,
  NOW_MS,
  newSigner,
  proofOf,
} from '../support/forged-snapshots.ts';

const NOW_S = NOW_MS / 1000;
const TYPE = 'countersign-readers+jwt';
const signer = newSigner();
const expected: ExpectedReaders = { keys: [signer.verifier], environment: 'production', nowMs: NOW_MS };

const content = {
  tokens: { issuer: 'https://flags.example', jwks: { keys: [{ kty: 'OKP', crv: 'Ed25519', x: 'AA' }] } },
  rules: [
    {
      name: 'checkout',
      issuer: 'https://ci.example',
      audience: 'countersign',
      claims: { repository_id: '1' },
      namespaces: ['payments'],
    },
  ],
  issuers: [{ issuer: 'https://ci.example', algorithms: ['RS256'], jwks: null, people: [] }],
  revoked: [['A'.repeat(22), null] as [string, null]],
};

function readersClaims(changes: Partial<ReadersClaims> = {}): ReadersClaims {
  return {
    environment: 'production',
    epoch: 1,
    origin: signer.verifier.name,
    sequence: 40,
    iat: NOW_S,
    exp: NOW_S + 7 * 86_400,
    digest: readersDigest({ ...content, ...changes }),
    ...content,
    ...changes,
  };
}

const fileOf = (...jws: string[]) => Buffer.from(JSON.stringify({ readers: jws }));
const header = { ...headerOf(signer), typ: TYPE };

/** The code of the refusal, which has a sentence; null if it is accepted. */
async function refusal(bytes: Buffer | string, given: Partial<ExpectedReaders> = {}): Promise<string | null> {
  try {
    await openReaders(Buffer.from(bytes), { ...expected, ...given });
    return null;
  } catch (error) {
    if (!(error instanceof SnapshotFault)) throw error;
    expect(error.message).toMatch(/^[^.]{10}.*[^.]$/s);
    return error.code;
  }
}

const signed = (changes: Partial<ReadersClaims> = {}) => signReaders(readersClaims(changes), [signer]);

describe('a list of readers', () => {
  it('that is sound is accepted as it was signed', async () => {
    expect(await openReaders(Buffer.from(signed()), expected)).toEqual(readersClaims());
  });

  it('is accepted by whoever knows one of the keys that sign', async () => {
    const next = newSigner();
    const both = signReaders(readersClaims(), [next, signer]);
    expect(await refusal(both)).toBeNull();
    expect(await refusal(both, { keys: [next.verifier] })).toBeNull();
    expect(await refusal(both, { keys: [newSigner().verifier] })).toBe('unknown_key');
  });

  it('is refused if it is of another environment, another log or another epoch', async () => {
    expect(await refusal(signed({ environment: 'staging' }))).toBe('other_environment');
    expect(await refusal(signed({ epoch: 2 }))).toBe('other_epoch');
    expect(await refusal(signed({ origin: 'other.example/log/1' }))).toBe('other_epoch');
    const restored = newSigner('flags.example/log/2');
    const after = readersClaims({ epoch: 2, origin: restored.verifier.name });
    expect(await refusal(signReaders(after, [restored]))).toBe('other_epoch');
  });

  it('is refused if it was changed or forged', async () => {
    const [head, , signature] = JSON.parse(signed()).readers[0].split('.');
    const other = Buffer.from(JSON.stringify(readersClaims({ revoked: [] }))).toString('base64url');
    expect(await refusal(fileOf(`${head}.${other}.${signature}`))).toBe('signature_invalid');
    expect(await refusal(fileOf(jwsOf(newSigner(), header, JSON.stringify(readersClaims()))))).toBe(
      'signature_invalid',
    );
    // A digest that does not fit would let an older list pass for the same.
    expect(await refusal(signed({ digest: `sha256:${'0'.repeat(64)}` }))).toBe('malformed');
  });

  it('is refused if it has expired, or is of the future', async () => {
    expect(await refusal(signed({ exp: NOW_S }))).toBe('expired');
    expect(await refusal(signed({ exp: NOW_S }), { nowMs: null })).toBeNull();
    expect(await refusal(signed({ iat: NOW_S + 61 }))).toBe('not_yet_valid');
  });

  it('is refused if it steps back, unless it says the same', async () => {
    const { epoch, sequence, iat, digest } = readersClaims();
    const after = { epoch, sequence, iat, digest };
    const lifted = { revoked: [] };
    expect(await refusal(signed({ sequence: 39, ...lifted }), { after })).toBe('stepped_back');
    expect(await refusal(signed({ iat: NOW_S - 1, ...lifted }), { after })).toBe('stepped_back');
    expect(await refusal(signed(lifted), { after: { ...after, epoch: 2 } })).toBe('stepped_back');
    expect(await refusal(signed(), { after: { ...after, epoch: 2 } })).toBe('stepped_back');
    // Another broker on the same database has not looked for a while.
    expect(await refusal(signed({ sequence: 39 }), { after })).toBeNull();
    expect(await refusal(signed({ sequence: 41, ...lifted }), { after })).toBeNull();
  });

  it('is refused if it is a pointer, and a pointer is refused if it is one', async () => {
    const pointer = signPointer(claimsOf(), signer);
    expect(await refusal(fileOf(pointer))).toBe('malformed');
    expect(await refusal(latestOf(signer))).toBe('not_a_snapshot');
    const [readers] = JSON.parse(signed()).readers;
    const latest = Buffer.from(
      JSON.stringify({ pointers: [readers], proof: proofOf(signer, leafOf(claimsOf())) }),
    );
    await expect(openLatest(latest, { ...expected, after: undefined })).rejects.toMatchObject({
      code: 'malformed',
    });
    // The same claims under the other type.
    expect(await refusal(fileOf(jwsOf(signer, header, JSON.stringify(claimsOf()))))).toBe('malformed');
    expect(await refusal(fileOf(jwsOf(signer, headerOf(signer), JSON.stringify(readersClaims()))))).toBe(
      'malformed',
    );
  });

  it('is refused if its header could name another key or algorithm', async () => {
    const payload = JSON.stringify(readersClaims());
    for (const more of [{ alg: 'none' }, { jwk: {} }, { crit: ['b64'], b64: false }, { kid: undefined }])
      expect(await refusal(fileOf(jwsOf(signer, { ...header, ...more }, payload)))).toBe('malformed');
  });

  it('is refused if it is something else, or too large, or says what is not understood', async () => {
    for (const other of ['<!doctype html>', '', '[]', 'null', '{"readers":[]}', '['.repeat(100_000)])
      expect(await refusal(other), other.slice(0, 20)).toBe('not_a_snapshot');
    expect(await refusal(Buffer.alloc(MAX_READERS_BYTES + 1, ' '))).toBe('too_large');
    const unknown = JSON.stringify({ ...readersClaims(), condition: 'of a newer broker' });
    expect(await refusal(fileOf(jwsOf(signer, header, unknown)))).toBe('malformed');
    const rule = { ...content.rules[0], not_if: { ref: 'main' } } as never;
    expect(
      await refusal(signed({ rules: [rule], digest: readersDigest({ ...content, rules: [rule] }) })),
    ).toBe('malformed');
  });
});
