import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CompactSign } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import { startBroker } from '../../src/broker.ts';
import { loadConfig } from '../../src/config.ts';
import { sha256Hex } from '../../src/json.ts';
import { createLog } from '../../src/logger.ts';
import { readBuiltBundle, readBundle, readStoredBundle } from '../../src/policy/bundle.ts';
import {
  BUNDLE_ALGORITHMS,
  type BundleKeyConfig,
  type BundleKeys,
  bundleKeySchema,
  loadBundleKeys,
} from '../../src/policy/bundle-keys.ts';
import { fileHash } from '../../src/policy/file-hash.ts';
import { storedPolicies } from '../../src/policy/stored-policies.ts';
import { type Member, packMembers, readFixtureBundle, unpackMembers } from '../support/bundles.ts';
import { INPUTS } from '../support/inputs.ts';

const SIGNED = new URL('../../fixtures/bundles/signed/', import.meta.url);
const publicKey = (name: string) => fileURLToPath(new URL(`${name}.pub.pem`, SIGNED));
const signedBundle = (name: string) => readFile(new URL(`${name}.tar.gz`, SIGNED));

async function keysOf(entry: Partial<BundleKeyConfig> = {}): Promise<BundleKeys | null> {
  const key = { kid: 'release', algorithm: 'ES256', key_file: publicKey('ES256'), ...entry };
  return loadBundleKeys([bundleKeySchema.parse(key)]);
}

let members: Member[];
let keys: BundleKeys | null;

beforeAll(async () => {
  members = await unpackMembers(await signedBundle('ES256'));
  keys = await keysOf();
});

const pathOf = ({ header: { name } }: Member) => name.replace(/^\//, '');
const edited = (path: string, edit: (text: string) => string) =>
  packMembers(
    members.map((member) =>
      pathOf(member) === path
        ? { ...member, bytes: Buffer.from(edit(member.bytes.toString('utf8'))) }
        : member,
    ),
  );

interface File {
  name: string;
  hash: string;
  algorithm: string;
}

/** The files as opa lists them. */
const listed = (): File[] =>
  members
    .filter((member) => pathOf(member) !== '.signatures.json')
    .map((member) => ({
      name: pathOf(member),
      hash: fileHash(pathOf(member), member.bytes),
      algorithm: 'SHA-256',
    }));

/** The bundle with a signature of our own, by a key that is pinned. */
async function signedWith(payload: object, header: object = {}): Promise<[Buffer, BundleKeys | null]> {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const token = await new CompactSign(Buffer.from(JSON.stringify(payload)))
    .setProtectedHeader({ alg: 'ES256', kid: 'release', ...header })
    .sign(pair.privateKey);
  const archive = await edited('.signatures.json', () => JSON.stringify({ signatures: [token] }));
  const key = pair.publicKey.export({ type: 'spki', format: 'pem' }).toString();
  return [archive, await keysOf({ key_file: undefined, key } as Partial<BundleKeyConfig>)];
}

describe('a bundle that opa signed', () => {
  it.each([
    ['ES256', 'ES256'],
    ['ES384', 'ES384'],
    ['RS256', 'RS256'],
    ['PS256', 'RS256'],
  ] as const)('with %s is verified', async (algorithm, file) => {
    const own = await keysOf({ algorithm, key_file: publicKey(file) });
    await expect(readBundle(await signedBundle(algorithm), { keys: own })).resolves.toBeDefined();
  });

  it('without a name for the key is by the key `default`', async () => {
    const archive = await signedBundle('unnamed');
    await expect(readBundle(archive, { keys: await keysOf({ kid: 'default' }) })).resolves.toBeDefined();
    await expect(readBundle(archive, { keys })).rejects.toThrow(/by the key "default", which is not in/);
  });

  it('for a scope is verified by a key for this scope only', async () => {
    const archive = await signedBundle('scoped');
    await expect(readBundle(archive, { keys: await keysOf({ scope: 'production' }) })).resolves.toBeDefined();
    await expect(readBundle(archive, { keys })).rejects.toThrow(/has the scope "production".* is for ""/);
    const elsewhere = await keysOf({ scope: 'staging' });
    await expect(readBundle(await signedBundle('ES256'), { keys: elsewhere })).rejects.toThrow(
      /the scope ""/,
    );
  });

  it('with a secret for both sides is refused', async () => {
    await expect(readBundle(await signedBundle('secret'), { keys })).rejects.toThrow(/does not verify it/);
  });

  it('has the same hash of a structured file, however it is laid out', async () => {
    const archive = await edited('data.json', (text) => text.replaceAll(':', ' :\n '));
    await expect(readBundle(archive, { keys })).resolves.toBeDefined();
  });
});

describe('a bundle is refused where keys are configured', () => {
  const cases: Record<string, [says: RegExp, archive: () => Promise<Buffer>]> = {
    'without a signature': [/not signed.*--signing-key/, () => readFixtureBundle('anybody')],
    'with other data': [
      /data\.json was changed/,
      () => edited('data.json', (text) => text.replace('live', 'dead')),
    ],
    'with a number that is written in another way': [
      /data\.json was changed/,
      () => edited('data.json', (text) => text.replace('1.0', '1')),
    ],
    'with other Rego': [
      /policy\.rego was changed/,
      () => edited('source/policy.rego', (text) => `${text}\n`),
    ],
    'with another module': [
      /policy\.wasm was changed/,
      () =>
        packMembers(
          members.map((member) =>
            pathOf(member) === 'policy.wasm' ? { ...member, bytes: Buffer.from('other') } : member,
          ),
        ),
    ],
    'with another manifest': [
      /\.manifest was changed/,
      () => edited('.manifest', (text) => text.replace('"revision":""', '"revision":"newer"')),
    ],
    'with a file more': [
      /does not cover more\/data\.json/,
      () =>
        packMembers([
          ...members,
          { header: { name: '/more/data.json', mode: 0o600 }, bytes: Buffer.from('{}') },
        ]),
    ],
    'with a file less': [
      /lists source\/policy\.rego, which the bundle does not have/,
      () => packMembers(members.filter((member) => pathOf(member) !== 'source/policy.rego')),
    ],
    'with two signatures': [
      /exactly one signature/,
      () =>
        edited('.signatures.json', (text) => {
          const { signatures } = JSON.parse(text) as { signatures: string[] };
          return JSON.stringify({ signatures: [...signatures, ...signatures] });
        }),
    ],
    'with another verifier': [
      /signature of the bundle is invalid/,
      () => edited('.signatures.json', (text) => JSON.stringify({ ...JSON.parse(text), plugin: 'mine' })),
    ],
    'with the signature of another bundle': [
      /signature of the bundle is invalid/,
      () => edited('.signatures.json', () => '{"signatures":["e30.e30."]}'),
    ],
  };

  it.each(Object.keys(cases))('%s', async (name) => {
    const [says, archive] = cases[name] ?? [/never/, () => signedBundle('ES256')];
    await expect(readBundle(await archive(), { keys })).rejects.toThrow(says);
  });

  const payloads: Record<string, [says: RegExp, payload: () => object]> = {
    'by a hash that is broken': [
      /hash of \.manifest by MD5; only SHA-256/,
      () => ({
        files: listed().map((file) => (file.name === '.manifest' ? { ...file, algorithm: 'MD5' } : file)),
      }),
    ],
    'that lists a file twice': [/lists data\.json twice/, () => ({ files: [...listed(), ...listed()] })],
    'over the bytes of a structured file': [
      /data\.json was changed/,
      () => ({
        files: listed().map((file) =>
          file.name === 'data.json'
            ? {
                ...file,
                hash: sha256Hex(members.find((member) => pathOf(member) === 'data.json')?.bytes ?? ''),
              }
            : file,
        ),
      }),
    ],
    'over nothing': [/signature of the bundle is invalid/, () => ({})],
  };

  it.each(Object.keys(payloads))('with a signature %s', async (name) => {
    const [says, payload] = payloads[name] ?? [/never/, () => ({})];
    const [archive, own] = await signedWith(payload());
    await expect(readBundle(archive, { keys: own })).rejects.toThrow(says);
  });

  it('but for a signature of our own that is right', async () => {
    const [archive, own] = await signedWith({ files: listed() });
    await expect(readBundle(archive, { keys: own })).resolves.toBeDefined();
  });

  it('by the key of another algorithm', async () => {
    const own = await keysOf({ algorithm: 'RS256', key_file: publicKey('RS256') });
    for (const name of ['PS256', 'ES256']) {
      await expect(readBundle(await signedBundle(name), { keys: own })).rejects.toThrow(/does not verify it/);
    }
  });

  it('when it is uploaded', async () => {
    const policies = storedPolicies({ inputs: INPUTS, keys });
    await expect(policies.readNew(await readFixtureBundle('anybody'))).rejects.toThrow(/not signed/);
    await expect(policies.readNew(await signedBundle('ES256'))).resolves.toBeDefined();
  });

  it('at the first start', async () => {
    const startWith = async (archive: Buffer) => {
      const folder = await mkdtemp(join(tmpdir(), 'countersign-signed-'));
      await writeFile(join(folder, 'bundle.tar.gz'), archive);
      await writeFile(join(folder, 'release.pem'), await readFile(publicKey('ES256')));
      const bundle_keys = [{ kid: 'release', algorithm: 'ES256', key_file: 'release.pem' }];
      const file = join(folder, 'countersign.yaml');
      await writeFile(
        file,
        JSON.stringify({ listen: { port: 0 }, policy_bundle: 'bundle.tar.gz', bundle_keys }),
      );
      try {
        const config = loadConfig({ file, env: {} });
        const broker = await startBroker({ config, clock: () => 0, log: createLog('silent') });
        await broker.close();
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    };
    await expect(startWith(await readFixtureBundle('anybody'))).rejects.toThrow(/not signed/);
    await expect(startWith(await signedBundle('ES256'))).resolves.toBeUndefined();
  });
});

describe('a bundle needs no signature', () => {
  it('once it is stored: keys are replaced, and decisions are replayed for years', async () => {
    await expect(readStoredBundle(await readFixtureBundle('anybody'))).resolves.toBeDefined();
  });

  it('if the broker built it from a verified module, and only then', async () => {
    const verified = await readBundle(await signedBundle('ES256'), { keys });
    const rebuilt = await packMembers(
      members
        .filter((member) => pathOf(member) !== '.signatures.json')
        .map((member) =>
          pathOf(member) === 'data.json'
            ? { ...member, bytes: Buffer.from('{"config":{"environments":{}}}') }
            : member,
        ),
    );
    await expect(readBuiltBundle(rebuilt, verified)).resolves.toBeDefined();
    await expect(readBuiltBundle(await readFixtureBundle('anybody'), verified)).rejects.toThrow(
      /another module/,
    );
  });
});

describe('a key that signs bundles', () => {
  const pem = (key: KeyObject) => key.export({ type: 'spki', format: 'pem' }).toString();
  const curve = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve });
  const cases: Record<string, [entry: () => object, says: RegExp]> = {
    'that is private, as PEM': [
      () => ({ key: curve('P-256').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() }),
      /private key.*replace this one/,
    ],
    'that is private, as JWK': [
      () => ({ key: JSON.stringify(curve('P-256').privateKey.export({ format: 'jwk' })) }),
      /private key/,
    ],
    'that is a secret': [() => ({ key: '{"kty":"oct","k":"c2VjcmV0"}' }), /a secret/],
    'on another curve': [() => ({ key: pem(curve('P-384').publicKey) }), /not a key for ES256/],
    'of another kind': [
      () => ({ algorithm: 'RS256', key: pem(curve('P-256').publicKey) }),
      /not a key for RS256/,
    ],
    'that is too short': [
      () => ({
        algorithm: 'RS256',
        key: pem(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey),
      }),
      /fewer than 2048 bits/,
    ],
    'that is none': [() => ({ key: 'hello' }), /neither a public key in PEM nor a JWK/],
  };

  it.each(Object.keys(cases))('%s is refused', async (name) => {
    const [entry, says] = cases[name] ?? [() => ({}), /never/];
    const configured = bundleKeySchema.parse({ kid: 'release', algorithm: 'ES256', ...entry() });
    await expect(loadBundleKeys([configured])).rejects.toThrow(says);
  });

  it('may be a JWK', async () => {
    const key = JSON.stringify(curve('P-256').publicKey.export({ format: 'jwk' }));
    await expect(loadBundleKeys([{ kid: 'a', algorithm: 'ES256', key, scope: '' }])).resolves.toHaveProperty(
      'size',
      1,
    );
  });

  it.each(['HS256', 'EdDSA', 'none'])('has no algorithm %s', (algorithm) => {
    expect(BUNDLE_ALGORITHMS).not.toContain(algorithm);
    expect(bundleKeySchema.safeParse({ kid: 'a', algorithm, key: 'x' }).success).toBe(false);
  });

  it('is given in one place', () => {
    expect(bundleKeySchema.safeParse({ kid: 'a', algorithm: 'ES256' }).success).toBe(false);
    const both = { kid: 'a', algorithm: 'ES256', key: 'x', key_file: 'y' };
    expect(bundleKeySchema.safeParse(both).success).toBe(false);
  });
});
