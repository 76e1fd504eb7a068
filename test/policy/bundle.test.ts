import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import { rebundle, replaceText } from '../../fixtures/rebundle.ts';
import { startBroker } from '../../src/broker.ts';
import { loadConfig } from '../../src/config.ts';
import { createLog } from '../../src/logger.ts';
import { BundleError, readBundle } from '../../src/policy/bundle.ts';
import { createPolicy } from '../../src/policy/policies.ts';
import { type Member, packMembers, readFixtureBundle, unpackMembers } from '../support/bundles.ts';
import { INPUTS } from '../support/inputs.ts';

let good: Buffer;
let members: Member[];

beforeAll(async () => {
  good = await readFixtureBundle('anybody');
  members = await unpackMembers(good);
});

const isNamed = (name: string) => (member: Member) => member.header.name.replace(/^\//, '') === name;
const without = (name: string) => members.filter((member) => !isNamed(name)(member));
const file = (name: string, text: string, header: Partial<Member['header']> = {}): Member => ({
  header: { name, mode: 0o600, ...header },
  bytes: Buffer.from(text),
});

async function withData(edit: (data: { config: Record<string, unknown> }) => unknown): Promise<Buffer> {
  const data = members.find(isNamed('data.json'))?.bytes.toString('utf8') ?? '';
  return packMembers([...without('data.json'), file('/data.json', JSON.stringify(edit(JSON.parse(data))))]);
}

async function withManifest(changed: object): Promise<Buffer> {
  const manifest = JSON.parse(manifestText()) as object;
  return packMembers([
    ...without('.manifest'),
    file('/.manifest', JSON.stringify({ ...manifest, ...changed })),
  ]);
}

const manifestText = () => members.find(isNamed('.manifest'))?.bytes.toString('utf8') ?? '';

/** What the broker says when it is to start with this bundle on an empty database. */
async function startWith(archive: Buffer): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-bundle-'));
  await writeFile(join(folder, 'bundle.tar.gz'), archive);
  await writeFile(
    join(folder, 'countersign.yaml'),
    JSON.stringify({ listen: { port: 0 }, policy_bundle: 'bundle.tar.gz' }),
  );
  try {
    const broker = await startBroker({
      config: loadConfig({ file: join(folder, 'countersign.yaml'), env: {} }),
      clock: () => 0,
      log: createLog('silent'),
    });
    await broker.close();
    return 'started';
  } catch (error) {
    return (error as Error).message;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

describe('a bundle that the broker starts with', () => {
  it('is one that opa built', async () => {
    expect(await startWith(good)).toBe('started');
  });

  it('has a hash of its content, whatever its compression, order and times', async () => {
    const { hash } = await readBundle(good);
    const variants = [
      gzipSync(gunzipSync(good), { level: 1 }),
      await packMembers(members.toReversed()),
      await packMembers(
        members.map(({ header, bytes }) => ({ header: { ...header, mtime: new Date(5), uid: 7 }, bytes })),
      ),
    ];
    for (const variant of variants) expect((await readBundle(variant)).hash).toBe(hash);
    expect((await readBundle(await withData((data) => ({ ...data, other: 1 })))).hash).not.toBe(hash);
  });
});

describe('a bundle that the broker refuses at its start', () => {
  const cases: Record<string, [says: RegExp, archive: () => Promise<Buffer> | Buffer]> = {
    'without the entry point': [
      /no entry point countersign\/decision.*-e/,
      () => readFixtureBundle('elsewhere'),
    ],
    'whose decision is a text': [/shape of a decision/, () => readFixtureBundle('text')],
    'with a clock of its own': [/built-ins.*time\.now_ns.*capabilities/, () => readFixtureBundle('clock')],
    'that is a delta': [/delta/, () => packMembers([...members, file('/patch.json', '{"data":[]}')])],
    'without a module': [/no .*policy\.wasm/, () => packMembers(without('policy.wasm'))],
    'without data': [/no data\.json/, () => packMembers(without('data.json'))],
    'without a manifest': [/no \.manifest/, () => packMembers(without('.manifest'))],
    'with a module that is none': [
      /policy\.wasm does not load/,
      () => packMembers([...without('policy.wasm'), file('/policy.wasm', 'hello')]),
    ],
    'with a module of another maker': [
      /not an OPA module|does not load/,
      () => packMembers([...without('policy.wasm'), file('/policy.wasm', '\0asm\x01\0\0\0')]),
    ],
    'with data that is no JSON': [
      /data\.json/,
      () => packMembers([...without('data.json'), file('/data.json', '{')]),
    ],
    'with a manifest that is no JSON': [
      /\.manifest/,
      () => packMembers([...without('.manifest'), file('/.manifest', '[]')]),
    ],
    'with one name twice': [
      /duplicate file data\.json/,
      () => packMembers([...members, file('data.json', '{}')]),
    ],
    'with one name twice, written another way': [
      /duplicate file data\.json/,
      () => packMembers([...members, file('./data.json', '{}')]),
    ],
    'with a path that leads out': [
      /not a path inside/,
      () => packMembers([...members, file('a/../../x', 'x')]),
    ],
    'with an absolute path': [
      /not a path inside/,
      () => packMembers([...members, file('//etc/passwd', 'x')]),
    ],
    'with a symbolic link': [
      /only regular files/,
      () => packMembers([...members, file('link', '', { type: 'symlink', linkname: '/etc/passwd' })]),
    ],
    'with a hard link': [
      /only regular files/,
      () => packMembers([...members, file('link', '', { type: 'link', linkname: 'data.json' })]),
    ],
    'larger than it may be': [
      /has 104857600 bytes; at most/,
      () => Buffer.concat([good, Buffer.alloc(100 * 1024 * 1024 - good.length)]),
    ],
    'with bytes after its end': [
      /something after the end of the gzip file/,
      () => Buffer.concat([good, Buffer.from('more')]),
    ],
    'with a second gzip member': [
      /something after the end of the gzip file/,
      () => Buffer.concat([good, gzipSync('more')]),
    ],
    'with an empty gzip member before it': [
      /something after the end of the gzip file/,
      () => Buffer.concat([gzipSync(''), good]),
    ],
    'with a wrong checksum': [
      /incorrect checksum/,
      () => Buffer.concat([good.subarray(0, -8), Buffer.alloc(4), good.subarray(-4)]),
    ],
    'with files after the end of the tar archive': [
      /something after the end of the tar archive/,
      async () =>
        gzipSync(
          Buffer.concat([
            gunzipSync(good),
            gunzipSync(await packMembers([file('/more.rego', 'package more')])),
          ]),
        ),
    ],
    'with bytes after the end of the tar archive': [
      /not a readable tar\.gz/,
      () => gzipSync(Buffer.concat([gunzipSync(good), Buffer.from('more')])),
    ],
    'with a sparse file': [
      /only regular files/,
      () => packMembers([...members, file('/holes', 'x', { pax: { 'GNU.sparse.major': '1' } })]),
    ],
    'with an empty part in a path': [
      /not a path inside/,
      () => packMembers([...members, file('/config//data.json', '{}')]),
    ],
    'with data in two files for the same place': [
      /data\.json of the bundle has a value for "approvers" that another data file has too/,
      () => packMembers([...members, file('/config/data.json', '{"approvers":"nobody"}')]),
    ],
    'with a data file that is no object': [
      /must be an object/,
      () => packMembers([...without('data.json'), file('/data.json', '[]')]),
    ],
    'with data that is not UTF-8': [
      /not valid UTF-8/,
      () =>
        packMembers([
          ...without('data.json'),
          { header: { name: '/data.json', mode: 0o600 }, bytes: Buffer.from('{"config":"\xff"}', 'latin1') },
        ]),
    ],
    'with half a character in its data': [
      /lone surrogate/,
      () => packMembers([...members, file('/more/data.json', '{"name":"\\ud800"}')]),
    ],
    'with a duplicate member in its data': [
      /duplicate member/,
      () => packMembers([...members, file('/more/data.json', '{"a":1,"\\u0061":2}')]),
    ],
    'with a duplicate member in its manifest': [
      /\.manifest.*duplicate member/,
      () => packMembers([...without('.manifest'), file('/.manifest', '{"revision":"a","revision":"b"}')]),
    ],
    'with data that is too deep': [
      /more than 100 levels/,
      () => packMembers([...members, file('/more/data.json', `{"a":${'['.repeat(200)}${']'.repeat(200)}}`)]),
    ],
    'with YAML that OPA reads in another way': [
      /YAML 1\.1.*different ways/,
      () => packMembers([...members, file('/more/data.yaml', 'start: 010')]),
    ],
    'with a patch in a folder': [
      /delta/,
      () => packMembers([...members, file('/config/patch.json', '{"data":[]}')]),
    ],
    'with a second manifest': [
      /config\/\.manifest.*takes it for the manifest/,
      () => packMembers([...members, file('/config/.manifest', '{}')]),
    ],
    'with data outside of its roots': [
      /roots do not include the data at \/config/,
      () => withManifest({ roots: ['countersign'] }),
    ],
    'with roots that overlap': [
      /overlapping roots: "config"/,
      () => withManifest({ roots: ['countersign', 'config', 'config/tiers'] }),
    ],
    'cut off': [/not a readable tar\.gz/, () => good.subarray(0, good.length - 100)],
    'that is no archive': [/not a readable tar\.gz/, () => Buffer.from('hello')],
    'that is empty': [/not a readable tar\.gz/, () => Buffer.alloc(0)],
    'that unpacks to more than it may': [
      /not a readable tar\.gz/,
      () => packMembers([...members, file('zeros', '\0'.repeat(17 * 1024 * 1024))]),
    ],
    'without environments': [
      /environments/,
      () => withData(({ config }) => ({ config: { ...config, environments: undefined } })),
    ],
    'with a time zone that nobody knows': [
      /Europe\/Atlantis/,
      () => withData(({ config }) => ({ config: { ...config, zones: ['Europe/Atlantis'] } })),
    ],
    'with a trust rule for everybody': [
      /trust/,
      () =>
        withData(({ config }) => ({
          config: {
            ...config,
            trust_rules: {
              open: {
                issuer: 'https://ci.example',
                audience: 'countersign',
                claims: {},
                grant: { audiences: ['control'], operations: ['request.propose'] },
              },
            },
          },
        })),
    ],
    'with a trust rule that matches any repository': [
      /trust/,
      () =>
        withData(({ config }) => ({
          config: {
            ...config,
            trust_rules: {
              open: {
                issuer: 'https://ci.example',
                audience: 'countersign',
                claims: { repository: '*' },
                grant: {
                  audiences: ['control'],
                  operations: ['request.propose'],
                  environments: ['production'],
                  namespaces: ['payments'],
                },
              },
            },
          },
        })),
    ],
  };

  it.each(Object.keys(cases))('%s is told why', async (name) => {
    const [says, archive] = cases[name] ?? [/never/, () => good];
    expect(await startWith(await archive())).toMatch(says);
  });

  it('with any of its bytes changed has another hash or is refused', async () => {
    const { hash } = await readBundle(good);
    const plain = gunzipSync(good);
    const wasmAt = plain.indexOf('\0asm');
    const dataAt = plain.indexOf('{"config"');
    for (const place of [wasmAt + 9, wasmAt + 5000, wasmAt + 100_000, dataAt + 14, dataAt + 25]) {
      const changed = Buffer.from(plain);
      changed[place] = (changed[place] ?? 0) ^ 1;
      const outcome = await readBundle(gzipSync(changed)).then(
        (bundle) => bundle.hash,
        (error: unknown) => error,
      );
      expect(outcome).not.toBe(hash);
      if (typeof outcome !== 'string') expect(outcome).toBeInstanceOf(BundleError);
    }
  });

  it('is refused before it is stored, so that a good one can be activated after it', async () => {
    await expect(
      createPolicy(await readBundle(await readFixtureBundle('clock')), { inputs: INPUTS }),
    ).rejects.toThrow(BundleError);
  });
});

describe('the names of persons in the data', () => {
  it('are refused in upper case: they would never be found', async () => {
    const shipped = await readFile(new URL('../../policies/examples/demo/bundle.tar.gz', import.meta.url));
    const spelled = await rebundle(shipped, (data) => replaceText(data, { 'github:5001': 'GitHub:5001' }));
    await expect(readBundle(spelled)).rejects.toThrow(/persons/);
  });
});
