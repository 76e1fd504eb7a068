import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type BundleFiles, unpackArchive } from '../../src/policy/archive.ts';
import { buildBundle } from '../../src/policy/build-bundle.ts';
import { readBundle } from '../../src/policy/bundle.ts';
import { readFolder } from '../../src/policy/bundle-folder.ts';
import { EXAMPLES, SHIPPED_MODULE, STARTER_DATA } from '../../src/policy/shipped.ts';

const DEMO = join(EXAMPLES, 'demo');
const module = await readFile(SHIPPED_MODULE);
const shipped = await readFile(join(DEMO, 'bundle.tar.gz'));
/** The data of the demo, as one folder has it. */
const layers = [await readFolder(STARTER_DATA), await readFolder(join(DEMO, 'data'))];
const data: BundleFiles = new Map(layers.flatMap((layer) => [...layer]));

function files(members: Record<string, string>): BundleFiles {
  return new Map(Object.entries(members).map(([path, text]) => [path, Buffer.from(text)]));
}

describe('a bundle built from a module and a folder of data', () => {
  it('is the bundle that OPA builds from the same sources', async () => {
    const { hash, broker } = await readBundle(shipped);
    const built = await buildBundle({ module, data: layers });
    expect(built.hash).toBe(hash);
    expect(built.broker).toEqual(broker);
  });

  it('is the same archive for the same parts', async () => {
    const parts = { module, data: layers, cases: files({ 'a.json': '[]' }) };
    const [one, other] = await Promise.all([buildBundle(parts), buildBundle(parts)]);
    expect(other.archive_digest).toBe(one.archive_digest);
  });

  it('has the data of a later folder in the place of that of an earlier one', async () => {
    const limits = { request_ttl_s: 60, breakglass_per_week: 1 };
    const own = files({ 'config/limits/data.json': JSON.stringify(limits) });
    const built = await buildBundle({ module, data: [...layers, own] });
    const { limits: found, tiers } = (built.data as { config: Record<string, object> }).config;
    expect(found).toEqual(limits);
    expect(Object.keys(tiers ?? {})).toContain('high-risk');
  });

  it('has the cases that it is given, and none of the bundle with the module', async () => {
    const first = await buildBundle({
      module,
      data: layers,
      cases: files({ 'theirs.json': '[]', 'sub/more.json': '[]' }),
    });
    expect([...(await unpackArchive(first.archive)).keys()]).toEqual(
      expect.arrayContaining(['cases/theirs.json', 'cases/sub/more.json']),
    );
    const own = { module: first.archive, data: layers, cases: files({ 'own.json': '[ ]' }) };
    const unpacked = await unpackArchive((await buildBundle(own)).archive);
    expect([...unpacked.keys()].filter((path) => path.startsWith('cases/'))).toEqual(['cases/own.json']);
    expect(unpacked.get('cases/own.json')?.toString()).toBe('[ ]');
  });

  it('has the revision that it is given', async () => {
    const built = await buildBundle({ module, data: layers, revision: '4f2c01a' });
    expect(built.revision).toBe('4f2c01a');
    expect((await buildBundle({ module: built.archive, data: layers })).revision).toBe('4f2c01a');
  });

  it('leaves out what says nothing to the policy', async () => {
    const built = await buildBundle({
      module,
      data: [new Map([...data, ...files({ 'README.md': '# ours', 'config/tiers/notes.txt': 'x' })])],
    });
    expect(built.hash).toBe((await readBundle(shipped)).hash);
    expect([...(await unpackArchive(built.archive)).keys()]).not.toContain('README.md');
  });

  it.each([
    [
      'a misnamed data file',
      { 'config/tiers/tiers.yaml': '{}' },
      /config\/tiers\/tiers\.yaml: a data file is/,
    ],
    ['Rego', { 'own/rules.rego': 'package own' }, /own\/rules\.rego: Rego has to be compiled/],
    [
      'data outside of the roots',
      { 'other/data.json': '{"a":1}' },
      /roots do not include the data at \/other/,
    ],
    ['YAML that two readers read differently', { 'config/extra/data.yaml': 'a: on' }, /1\.1 and YAML 1\.2/],
    [
      'one value in two places',
      { 'config/data.json': '{"tiers":{"sensitive":1}}' },
      /value for "sensitive" that another data file/,
    ],
    ['a role that nobody knows', { 'config/new_flags/data.json': '{}' }, /new_flags/],
  ])('is refused with %s', async (_, more, message) => {
    const built = buildBundle({ module, data: [data, files(more)] });
    await expect(built).rejects.toThrow(message);
  });

  it('is refused without data', async () => {
    await expect(buildBundle({ module, data: [files({ 'README.md': '' })] })).rejects.toThrow(
      /there is no data/,
    );
  });

  it.each(['data.json', 'sub/data.json', 'cases.yaml', 'run.sh', '../policy.json'])(
    'is refused with cases in %s',
    async (path) => {
      const built = buildBundle({ module, data: layers, cases: files({ [path]: '[]' }) });
      await expect(built).rejects.toThrow(/cases are JSON files|not a path/);
    },
  );

  it('is refused without a module', async () => {
    await expect(buildBundle({ module: Buffer.from('no archive'), data: layers })).rejects.toThrow(/tar\.gz/);
  });
});
