import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { openStore } from '../../src/store/database.ts';
import { setMeta } from '../../src/store/installation.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-lock-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it('a file that one broker serves is refused to a second one, until the first has closed', async () => {
  const file = join(folder, 'one.db');
  const first = await openStore({ file, clock: systemClock });
  await expect(openStore({ file, clock: systemClock })).rejects.toThrow('is in use by another broker');
  await first.close();
  const second = await openStore({ file, clock: systemClock });
  await second.close();
});

it('nobody else on the machine can read the files: the signing keys are in them', async () => {
  const file = join(folder, 'private.db');
  const store = await openStore({ file, clock: systemClock });
  await store.writer.write((tx) => setMeta(tx, 'written', 'yes'));
  const names = (await readdir(folder)).filter((name) => name.startsWith('private.db'));
  expect(names).toEqual(
    expect.arrayContaining(['private.db', 'private.db-shm', 'private.db-wal', 'private.db.lock']),
  );
  for (const name of names) expect((await stat(join(folder, name))).mode & 0o077).toBe(0);
  await store.close();
});
