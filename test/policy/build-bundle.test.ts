import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import type { BundleFiles } from '../../src/policy/archive.ts';
import { unpackArchive } from '../../src/policy/archive.ts';
import { buildBundle } from '../../src/policy/build-bundle.ts';
import { readBundle } from '../../src/policy/bundle.ts';
import { readFolder } from '../../src/policy/bundle-folder.ts';

const shipped = readFileSync(new URL('../../policies/bundle.tar.gz', import.meta.url));
const config = await readFolder(new URL('../../policies/config', import.meta.url).pathname);

/** The shipped data, as a folder of data has it. */
const data: BundleFiles = new Map([...config].map(([path, bytes]) => [`config/${path}`, bytes]));

function files(members: Record<string, string>): BundleFiles {
  return new Map(Object.entries(members).map(([path, text]) => [path, Buffer.from(text)]));
}

/** The bindings of another company, whose groups are called otherwise. */
function ownBindings(): string {
  const text = config.get('role_bindings/data.yaml')?.toString() ?? '';
  return stringify(parse(text.replaceAll('http://127.0.0.1:9401', 'https://id.example.com')), {
    version: '1.1',
  });
}

describe('a bundle built from a module and a folder of data', () => {
  it('is the bundle that OPA builds from the same sources', async () => {
    const { hash, broker } = await readBundle(shipped);
    const built = await buildBundle({ module: shipped, data: [data] });
    expect(built.hash).toBe(hash);
    expect(built.broker).toEqual(broker);
  });

  it('is the same archive for the same parts', async () => {
    const parts = { module: shipped, data: [data], cases: files({ 'a.json': '[]' }) };
    const [one, other] = await Promise.all([buildBundle(parts), buildBundle(parts)]);
    expect(other.archive_digest).toBe(one.archive_digest);
  });

  it('has the data of a later folder in the place of that of an earlier one', async () => {
    const own = files({ 'config/role_bindings/data.json': JSON.stringify(parse(ownBindings())) });
    const built = await buildBundle({ module: shipped, data: [data, own] });
    const { role_bindings, tiers } = (built.data as { config: Record<string, object> }).config;
    expect(role_bindings).toEqual(parse(ownBindings()));
    expect(Object.keys(tiers ?? {})).toContain('high-risk');
    expect(JSON.stringify(built.data)).not.toContain('http://127.0.0.1:9401"');
  });

  it('has the cases that it is given, and none of the bundle with the module', async () => {
    const first = await buildBundle({
      module: shipped,
      data: [data],
      cases: files({ 'theirs.json': '[]', 'sub/more.json': '[]' }),
    });
    expect([...(await unpackArchive(first.archive)).keys()]).toEqual(
      expect.arrayContaining(['cases/theirs.json', 'cases/sub/more.json']),
    );
    const own = { module: first.archive, data: [data], cases: files({ 'own.json': '[1]' }) };
    const unpacked = await unpackArchive((await buildBundle(own)).archive);
    expect([...unpacked.keys()].filter((path) => path.startsWith('cases/'))).toEqual(['cases/own.json']);
    expect(unpacked.get('cases/own.json')?.toString()).toBe('[1]');
  });

  it('has the revision that it is given', async () => {
    const built = await buildBundle({ module: shipped, data: [data], revision: '4f2c01a' });
    expect(built.revision).toBe('4f2c01a');
    expect((await buildBundle({ module: built.archive, data: [data] })).revision).toBe('4f2c01a');
  });

  it('leaves out what says nothing to the policy', async () => {
    const built = await buildBundle({
      module: shipped,
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
    const built = buildBundle({ module: shipped, data: [data, files(more)] });
    await expect(built).rejects.toThrow(message);
  });

  it('is refused without data', async () => {
    await expect(buildBundle({ module: shipped, data: [files({ 'README.md': '' })] })).rejects.toThrow(
      /there is no data/,
    );
  });

  it.each(['data.json', 'sub/data.json', 'cases.yaml', 'run.sh', '../policy.json'])(
    'is refused with cases in %s',
    async (path) => {
      const built = buildBundle({ module: shipped, data: [data], cases: files({ [path]: '[]' }) });
      await expect(built).rejects.toThrow(/cases are JSON files|not a path/);
    },
  );

  it('is refused without a module', async () => {
    await expect(buildBundle({ module: Buffer.from('no archive'), data: [data] })).rejects.toThrow(/tar\.gz/);
  });
});
