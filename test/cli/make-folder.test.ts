import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { makeFolder, makeNamedFolder } from '../../src/cli/make-folder.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-folder-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

it('creates what is missing, with its mode, and takes what is there', async () => {
  const deep = join(folder, 'a', 'b', 'c');
  await Promise.all([makeFolder(deep, { mode: 0o700 }), makeFolder(deep, { mode: 0o700 })]);
  await makeFolder(deep);
  for (const made of [deep, join(folder, 'a')]) expect((await stat(made)).mode & 0o777).toBe(0o700);
});

it('ends, and says which folder it could not create, where the system takes none', async () => {
  await writeFile(join(folder, 'file'), '');
  // Of a folder in `/proc` Linux says that one above it is missing.
  for (const place of ['/proc/countersign/a/b', join(folder, 'file'), join(folder, 'file', 'a')]) {
    await expect(makeFolder(place)).rejects.toThrow(/ENOENT|EEXIST|ENOTDIR/);
    await expect(makeNamedFolder(place)).rejects.toMatchObject({
      problem: { code: 'usage', detail: expect.stringContaining(`${place} cannot be created: `) },
    });
  }
});
