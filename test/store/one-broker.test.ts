import { linkSync, renameSync, rmSync, symlinkSync, unlinkSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { openStore } from '../../src/store/database.ts';
import { findMeta, setMeta } from '../../src/store/installation.ts';
import type { Store } from '../../src/store/store.ts';
import { appendTo } from '../support/entries.ts';
import { HAS_MOUNTS, openBriefly, within } from '../support/own-store.ts';
import { withReader } from '../support/sqlite/file.ts';

/*
 * One file, two brokers, and everything that can hide the one from the other. The first is this process; the second is a
 * process of its own, because locks of one process do not hold each other off.
 */

let folder: string;
let file: string;
let store: Store;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-one-'));
  file = join(folder, 'one.db');
  store = await openStore({ file, clock: systemClock });
  await store.writer.write((tx) => setMeta(tx, 'kept', 'yes'));
});
afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true, force: true });
});

/** What a second process says that has the database for itself. */
const NOBODY_ELSE = 'opened';

describe('a second broker', () => {
  it('is refused under the same name', async () => {
    expect(await openBriefly(file)).toContain('is in use by another broker');
  });

  it('is refused under a hard link, wherever it is, and on the file itself while there is one', async () => {
    await mkdir(join(folder, 'elsewhere'));
    const link = join(folder, 'elsewhere', 'two.db');
    linkSync(file, link);
    for (const name of [link, file]) expect(await openBriefly(name)).toMatch(/has 2 hard links/);
    await store.close();
    expect(await openBriefly(file)).toMatch(/has 2 hard links/);
    unlinkSync(link);
    expect(await openBriefly(file)).toContain(NOBODY_ELSE);
  });

  it('is refused under a symbolic link to the file or its folder', async () => {
    symlinkSync(file, join(folder, 'two.db'));
    symlinkSync(folder, join(folder, 'same'));
    for (const name of ['two.db', join('same', 'one.db'), join('same', 'two.db')])
      expect(await openBriefly(join(folder, name))).toContain('one.db is in use by another broker');
  });

  it('is refused although the lock file was deleted', async () => {
    unlinkSync(`${file}.lock`);
    expect(await openBriefly(file)).toContain('is in use by another broker or program');
    // The refused start has made a new one, and another still notices.
    expect(await openBriefly(file)).toContain('is in use by another broker or program');
    await store.close();
    expect(await openBriefly(file)).toContain(NOBODY_ELSE);
  });

  it('is refused on a file that was moved, where the lock of another database is', async () => {
    const other = join(folder, 'other.db');
    await (await openStore({ file: other, clock: systemClock })).close();
    for (const part of ['', '-wal', '-shm']) rmSync(`${other}${part}`, { force: true });
    renameSync(file, other);
    expect(await openBriefly(other)).toContain('is in use by another broker or program');
    renameSync(other, file);
  });

  it.skipIf(!HAS_MOUNTS)('is refused on a file that is mounted alone, as into a container', async () => {
    const place = join(folder, 'in container.db');
    const inside = within(`touch '${place}' && mount --bind '${file}' '${place}'`);
    expect(await openBriefly(place, inside)).toContain('is mounted as a single file');
    await store.close();
    expect(await openBriefly(place, inside)).toContain('Mount its folder instead');
  });

  it.skipIf(!HAS_MOUNTS)(
    'is refused where the folder is mounted at another place of this machine',
    async () => {
      const place = join(folder, 'mounted');
      const inside = within(`mkdir -p '${place}' && mount --bind '${folder}' '${place}'`);
      expect(await openBriefly(join(place, 'one.db'), inside)).toContain('is in use by another broker');
    },
  );

  it('is not what a program is that only reads the file, unless the lock file is new', async () => {
    await store.close();
    await withReader(file, async () => {
      expect(await openBriefly(file)).toContain(NOBODY_ELSE);
      unlinkSync(`${file}.lock`);
      expect(await openBriefly(file)).toContain('another broker or program');
    });
    expect(await openBriefly(file)).toContain(NOBODY_ELSE);
  });
});

describe('a symbolic link', () => {
  it('names the database that it leads to, with its lock and its mark', async () => {
    await store.close();
    const link = join(folder, 'two.db');
    symlinkSync(file, link);
    store = await openStore({ file: link, clock: systemClock });
    expect(await findMeta(store.read, 'kept')).toBe('yes');
    expect(store.loss).toBeNull();
  });

  it('that leads nowhere is refused and creates nothing', async () => {
    const link = join(folder, 'dangling.db');
    symlinkSync(join(folder, 'nothing.db'), link);
    await expect(openStore({ file: link, clock: systemClock })).rejects.toThrow(
      'is a symbolic link to a file',
    );
    await expect(openStore({ file: join(folder, 'nothing.db', 'x'), clock: systemClock })).rejects.toThrow();
  });
});

describe('a database that was taken away while the broker runs', () => {
  const STOPPED = {
    code: 'store_unwritable',
    message: expect.stringContaining('moved, deleted or replaced'),
  };

  it.each(['moved', 'deleted', 'replaced'])('because it was %s takes no writes any more', async (how) => {
    await appendTo(store);
    if (how === 'deleted') unlinkSync(file);
    else renameSync(file, `${file}.away`);
    if (how === 'replaced')
      await (await openStore({ file: join(folder, 'n.db'), clock: systemClock })).close();
    if (how === 'replaced') renameSync(join(folder, 'n.db'), file);
    await expect(appendTo(store)).rejects.toMatchObject({ code: 'not_recorded' });
    await expect(appendTo(store)).rejects.toMatchObject(STOPPED);
    expect(await store.writeRefusal()).toMatchObject(STOPPED);
    expect(await findMeta(store.read, 'kept')).toBe('yes');
  });

  it('is noticed also while nobody writes', async () => {
    expect(await store.writeRefusal()).toBeNull();
    renameSync(file, `${file}.away`);
    expect(await store.writeRefusal()).toMatchObject(STOPPED);
    await expect(appendTo(store)).rejects.toMatchObject(STOPPED);
  });
});
