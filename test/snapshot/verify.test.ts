import { compactVerify } from 'jose';
import { describe, expect, it } from 'vitest';
import { BODY_VERSION, bodyDigest, MAX_BODY_BYTES, openBody } from '../../src/snapshot/body.ts';
import { SNAPSHOT_FAULTS, SnapshotFault, type SnapshotFaultCode } from '../../src/snapshot/fault.ts';
import { type Expected, formatLatest, MAX_LATEST_BYTES, openLatest } from '../../src/snapshot/latest.ts';
import { signPointer } from '../../src/snapshot/pointer.ts';
import { publicKeyOfVerifier } from '../../src/tree/note.ts';
import {
  BODY,
  claimsOf,
  headerOf,
  jwsOf,
  latestOf,
  leafOf,
  NOW_MS,
  newSigner,
  proofOf,
} from '../support/forged-snapshots.ts';

const signer = newSigner();
const keys = [signer.verifier];
const expected: Expected = { keys, environment: 'production', nowMs: NOW_MS };
const sound = latestOf(signer);
const seen = new Set<SnapshotFaultCode>();

/** The code of the refusal, which has a sentence. */
async function refusalOf(work: () => unknown): Promise<SnapshotFaultCode | null> {
  try {
    await work();
    return null;
  } catch (error) {
    if (!(error instanceof SnapshotFault)) throw error;
    expect(error.message).toMatch(/^[^.]{10}.*[^.]$/s);
    seen.add(error.code);
    return error.code;
  }
}

const open = (bytes: Buffer | string, given: Partial<Expected> = {}) =>
  refusalOf(() => openLatest(Buffer.from(bytes), { ...expected, ...given }));
const signedBy = (payload: string, header: object = headerOf(signer)) =>
  formatLatest([jwsOf(signer, header, payload)], proofOf(signer, leafOf(claimsOf())));
const claims = JSON.stringify(claimsOf());

describe('a pointer', () => {
  it('that is sound is accepted, by its signature as any library of JOSE verifies it', async () => {
    expect(await openLatest(sound, expected)).toEqual({ ...claimsOf(), place: 2, proved_size: 2 });
    const [jws] = JSON.parse(sound.toString()).pointers;
    const x = publicKeyOfVerifier(signer.verifier).toString('base64url');
    const { payload } = await compactVerify(jws, { kty: 'OKP', crv: 'Ed25519', x });
    expect(JSON.parse(Buffer.from(payload).toString())).toEqual(claimsOf());
  });

  it('is refused if it is something else: an error page, a list, nothing, half of it', async () => {
    const others = [
      '<!doctype html><title>200</title>',
      '',
      '[]',
      '{}',
      'null',
      '[['.repeat(100_000),
      sound.subarray(0, 100),
    ];
    for (const other of others) expect(await open(other), String(other).slice(0, 20)).toBe('not_a_snapshot');
    const deep = `{"pointers":["x"],"proof":${'['.repeat(50_000)}${']'.repeat(50_000)}}`;
    expect(await open(deep)).toBe('not_a_snapshot');
    expect(await open(Buffer.alloc(MAX_LATEST_BYTES + 1, ' '))).toBe('too_large');
  });

  it('is refused if it was changed or forged', async () => {
    const { pointers, proof } = JSON.parse(sound.toString());
    const [header, , signature] = pointers[0].split('.');
    const other = Buffer.from(JSON.stringify(claimsOf({ version: 8 }))).toString('base64url');
    expect(await open(formatLatest([`${header}.${other}.${signature}`], proof))).toBe('signature_invalid');
    const forger = newSigner();
    expect(await open(latestOf(forger))).toBe('unknown_key');
    expect(await open(formatLatest([jwsOf(forger, headerOf(signer), claims)], proof))).toBe(
      'signature_invalid',
    );
  });

  it('is refused under another type or algorithm, or with a key of its own', async () => {
    const header = headerOf(signer);
    for (const changed of [
      { typ: 'at+jwt' },
      { typ: undefined },
      { alg: 'none' },
      { alg: 'HS256' },
      { alg: 'Ed25519' },
      { jwk: { kty: 'OKP' } },
      { jku: 'https://evil.example' },
      { crit: ['b64'], b64: false },
      { kid: undefined },
    ])
      expect(await open(signedBy(claims, { ...header, ...changed })), JSON.stringify(changed)).toBe(
        'malformed',
      );
  });

  it('is refused if what it says is malformed, or a number is not exact', async () => {
    for (const payload of [
      'not json',
      '{}',
      claims.replace('"version":7', '"version":9007199254740993'),
      claims.replace('"version":7', '"version":-1'),
      claims.replace('"version":7', '"version":7.5'),
      claims.replace('"version":7', '"version":"7"'),
      claims.replace('{', '{"more":1,'),
      claims.replace('sha256:', 'md5:'),
      `[${claims}]`,
    ])
      expect(await open(signedBy(payload)), payload.slice(0, 60)).toBe('malformed');
    for (const jws of ['', 'a.b', 'a.b.c.d', '!!.!!.!!'])
      expect(await open(formatLatest([jws], '')), jws).toBe('malformed');
  });

  it('is refused for another environment', async () => {
    expect(await open(sound, { environment: 'staging' })).toBe('other_environment');
  });

  it('is refused from the log of another epoch, and from one that names another than its key', async () => {
    const restored = newSigner('flags.example/log/2');
    const other = claimsOf({ epoch: 2, origin: 'flags.example/log/2' });
    expect(await open(latestOf(restored, other))).toBe('other_epoch');
    expect(await open(latestOf(signer, other))).toBe('other_epoch');
    expect(await open(latestOf(signer, claimsOf({ epoch: 2 })))).toBe('other_epoch');
    // Once its key is known, it goes on from there, whatever its version.
    const known = [signer.verifier, restored.verifier];
    const first = { ...other, version: 1 };
    const after = { epoch: 1, version: 90 };
    expect(await open(latestOf(restored, first), { keys: known, after })).toBe(null);
    expect(await open(sound, { keys: known, after: { epoch: 2, version: 1 } })).toBe('stepped_back');
    expect(await open(latestOf(newSigner('other.example/log/1'), claimsOf()))).toBe('unknown_key');
  });

  it('is refused if it has expired, however often it is sent again, or was signed in the future', async () => {
    const { exp } = claimsOf();
    expect(await open(sound, { nowMs: exp * 1000 - 1 })).toBe(null);
    expect(await open(sound, { nowMs: exp * 1000 })).toBe('expired');
    expect(await open(sound, { nowMs: NOW_MS - 60_000 })).toBe(null);
    expect(await open(sound, { nowMs: NOW_MS - 61_000 })).toBe('not_yet_valid');
    expect(await open(sound, { nowMs: null })).toBe(null);
  });

  it('is refused if it steps back, or is another one of the same version', async () => {
    const at = (version: number, digest?: string) => ({ after: { epoch: 1, version, digest } });
    expect(await open(sound, at(6))).toBe(null);
    expect(await open(sound, at(7))).toBe(null);
    expect(await open(sound, at(7, claimsOf().digest))).toBe(null);
    expect(await open(sound, at(7, bodyDigest('another')))).toBe('forked');
    expect(await open(sound, at(8))).toBe('stepped_back');
  });

  it('is refused without a proof by the same key', async () => {
    const { pointers, proof } = JSON.parse(sound.toString());
    const forger = newSigner();
    const unproven = [
      '',
      'x',
      proof.replace('index 1', 'index 0'),
      proof.replace('index 1', 'index 9007199254740993'),
      proofOf(forger, leafOf(claimsOf())),
      proofOf(signer, 'not json'),
    ];
    for (const other of unproven)
      expect(await open(formatLatest(pointers, other)), other.slice(0, 50)).toBe('unproven');
  });

  it('is refused with the proof of another record', async () => {
    const { pointers } = JSON.parse(sound.toString());
    const others = [
      leafOf(claimsOf({ version: 6 })),
      leafOf(claimsOf({ size: 0 })),
      leafOf(claimsOf({ environment: 'staging' })),
      leafOf(claimsOf({ digest: bodyDigest('another') })),
      leafOf(claimsOf(), 'evaluations.counted'),
      '{"operation":"snapshot.publish"}',
      '{}',
    ];
    for (const leaf of others)
      expect(await open(formatLatest(pointers, proofOf(signer, leaf))), leaf).toBe('proof_other');
  });

  it('is read by whoever knows one of the keys that sign it', async () => {
    const next = newSigner();
    const pointers = [signPointer(claimsOf(), next), signPointer(claimsOf(), signer)];
    const both = (by: typeof signer) => formatLatest(pointers, proofOf(by, leafOf(claimsOf())));
    expect(await open(both(signer))).toBe(null);
    expect(await open(both(next), { keys: [next.verifier] })).toBe(null);
    expect(await open(both(signer), { keys: [newSigner().verifier] })).toBe('unknown_key');
  });
});

describe('a body', () => {
  const name = { environment: 'production', version: 7 };
  const openText = (text: string | Buffer, named: Partial<typeof name> = {}) =>
    refusalOf(() => openBody(Buffer.from(text), { ...name, ...named, digest: bodyDigest(text) }));

  it('is refused unless its bytes are those that were signed', async () => {
    const digest = bodyDigest(BODY);
    expect(openBody(Buffer.from(BODY), { ...name, digest }).flags).toEqual([]);
    for (const other of [BODY.slice(0, -1), `${BODY}\n`, '', '<html>', BODY.replace('7', '8')])
      expect(await refusalOf(() => openBody(Buffer.from(other), { ...name, digest })), other).toBe(
        'body_other',
      );
    expect(await refusalOf(() => openBody(Buffer.alloc(MAX_BODY_BYTES + 1), { ...name, digest }))).toBe(
      'too_large',
    );
  });

  it('is refused if it is of another environment or version', async () => {
    expect(await openText(BODY, { environment: 'staging' })).toBe('body_other');
    expect(await openText(BODY, { version: 8 })).toBe('body_other');
  });

  it('is refused if it is signed and cannot be understood', async () => {
    for (const text of [
      'not json',
      '[]',
      BODY.replace(`"schema_version":${BODY_VERSION}`, '"schema_version":2'),
      BODY.replace('"flags":[]', '"flags":[{"definition":{},"state":{},"version":1}]'),
      BODY.replace('"flags":[]', `"flags":${'['.repeat(20_000)}${']'.repeat(20_000)}`),
      BODY.replace('"version":7', '"version":9007199254740993'),
      BODY.replace('{', '{"more":1,'),
    ])
      expect(await openText(text), text.slice(0, 60)).toBe('malformed');
  });
});

it('tries every fault of this page', () => {
  const left = Object.keys(SNAPSHOT_FAULTS).filter((code) => !seen.has(code as SnapshotFaultCode));
  // Whether a body is there at all is said by who reads it.
  expect(left).toEqual(['body_missing']);
});
