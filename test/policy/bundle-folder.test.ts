import { mkdir, mkdtemp, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { readBundle, readStoredBundle } from '../../src/policy/bundle.ts';
import { readArchive } from '../../src/policy/bundle-folder.ts';
import { loadBundleKeys } from '../../src/policy/bundle-keys.ts';
import { unpackMembers } from '../support/bundles.ts';

const SHIPPED = new URL('../../policies/examples/demo/bundle.tar.gz', import.meta.url);
const SIGNED = new URL('../../fixtures/bundles/signed/', import.meta.url);

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-folder-'));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

async function write(path: string, content: string | Buffer): Promise<void> {
  await mkdir(dirname(join(folder, path)), { recursive: true });
  await writeFile(join(folder, path), content);
}

/** Puts the files of an archive into the folder. @returns the archive */
async function unpack(file: URL): Promise<Buffer> {
  const archive = await readFile(file);
  for (const { header, bytes } of await unpackMembers(archive)) await write(header.name, bytes);
  return archive;
}

describe('a bundle in a folder, as OPA lays it out', () => {
  it('has the policy hash of the same bundle in an archive, and always the same archive', async () => {
    const { hash } = await readBundle(await unpack(SHIPPED));
    const archive = await readArchive(folder);
    expect((await readBundle(archive)).hash).toBe(hash);
    expect((await readStoredBundle(archive)).hash).toBe(hash);
    expect(archive.equals(await readArchive(folder))).toBe(true);
  });

  it('has its data in as many files and folders as it likes, as JSON or YAML', async () => {
    const { hash, data } = await readBundle(await unpack(SHIPPED));
    await rm(join(folder, 'data.json'));
    const { config } = data as { config: Record<string, unknown> };
    // A data file has an object, so values of other kinds are written one level above.
    const isObject = ([, value]: [string, unknown]) => typeof value === 'object' && !Array.isArray(value);
    for (const [at, [name, value]] of Object.entries(config).filter(isObject).entries()) {
      if (at % 2 === 0) await write(`config/${name}/data.json`, JSON.stringify(value));
      else await write(`config/${name}/data.yaml`, stringify(value, { version: '1.1' }));
    }
    const others = Object.entries(config).filter((entry) => !isObject(entry));
    await write('config/data.yml', stringify(Object.fromEntries(others)));
    const archive = await readArchive(folder);
    expect((await readBundle(archive)).hash).toBe(hash);
    expect((await readStoredBundle(archive)).hash).toBe(hash);
  });

  it('is verified where keys are configured, as an archive is', async () => {
    await unpack(new URL('ES256.tar.gz', SIGNED));
    const key = await readFile(new URL('ES256.pub.pem', SIGNED), 'utf8');
    const keys = await loadBundleKeys([{ kid: 'release', algorithm: 'ES256', key, scope: '' }]);
    await expect(readBundle(await readArchive(folder), { keys })).resolves.toBeDefined();
    await write('more.rego', 'package more');
    await expect(readBundle(await readArchive(folder), { keys })).rejects.toThrow(
      /does not cover more\.rego/,
    );
  });

  it('has no hidden files but its own, such as a repository', async () => {
    const { hash } = await readBundle(await unpack(SHIPPED));
    await write('.git/data.json', '{"config":{}}');
    expect((await readBundle(await readArchive(folder))).hash).toBe(hash);
  });

  it('is refused with a link', async () => {
    await unpack(SHIPPED);
    await symlink('/etc/passwd', join(folder, 'link'));
    await expect(readArchive(folder)).rejects.toThrow(/link: a bundle may contain only regular files/);
  });

  it('is refused if its files are larger than a bundle may be', async () => {
    await unpack(SHIPPED);
    await write('large', '');
    await truncate(join(folder, 'large'), 17 * 1024 * 1024);
    await expect(readArchive(folder)).rejects.toThrow(/more than 16777216 bytes/);
  });
});

describe('a bundle in a file', () => {
  it('is not read if it is larger than a bundle may be', async () => {
    const file = join(folder, 'large.tar.gz');
    await writeFile(file, '');
    await truncate(file, 1024 ** 3);
    await expect(readArchive(file)).rejects.toThrow(/1073741824 bytes; at most/);
  });
});
