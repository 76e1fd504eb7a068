import { existsSync, readdirSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { createLog } from '../../src/logger.ts';
import { openStore } from '../../src/store/database.ts';
import { findMeta, setMeta } from '../../src/store/installation.ts';
import { HAS_MOUNTS, HAS_STRACE, type OwnStore, openOwn, within } from '../support/own-store.ts';
import { damageTable, integrityOf } from '../support/sqlite/file.ts';

/* Disks that are full, read-only or failing, and files that are damaged: writes stop, the process and its reads do not. */

let folder: string;
let file: string;
let own: OwnStore | null = null;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-disk-'));
  file = join(folder, 'test.db');
});
afterEach(async () => {
  await own?.end();
  own = null;
  await rm(folder, { recursive: true, force: true });
});

/** A disk of its own of that size, with a file on it that can be deleted. */
function onSmallDisk(megabytes: number): string[] {
  return within(
    `mount -t tmpfs -o size=${megabytes}m none '${folder}' && head -c 2000000 /dev/zero > '${folder}/other'`,
  );
}

/** Lets the calls fail by which SQLite writes, or makes durable, from one of them on. */
function failing(calls: string, error: string, from: number): string[] {
  const paths = [`${file}-wal`, `${file}.trial`].flatMap((path) => ['-P', path]);
  const inject = ['-e', `inject=${calls}:error=${error}:when=${from}+`];
  const trial = ['-e', `inject=write:error=${error}`];
  return ['strace', '-f', '-qq', '-o', '/dev/null', ...paths, ...inject, ...trial];
}

/** Writes until it is refused. @returns how many writes succeeded, and the refusal */
async function writeUntilRefused(store: OwnStore): Promise<{ written: number; refusal: string }> {
  for (let written = 0; written < 200; written += 1) {
    const answer = await store.ask('write');
    if (!answer.startsWith('written')) return { written, refusal: answer };
  }
  throw new Error('nothing was refused');
}

describe('a disk that becomes', () => {
  it.skipIf(!HAS_MOUNTS)('full stops writes, says so, and takes them again when there is room', async () => {
    own = await openOwn(file, { inside: onSmallDisk(6) });
    const { written, refusal } = await writeUntilRefused(own);
    expect(written).toBeGreaterThan(2);
    expect(refusal).toMatch(/^not_recorded: .* because its disk is full/);
    expect(await own.ask('read')).toBe(`last ${written}`);
    expect(await own.ask('write')).toBe(refusal);
    await rm(`/proc/${own.pid}/root${join(folder, 'other')}`);
    expect(await own.ask('write')).toBe(`written ${written + 1}`);
    expect(await own.ask('refusal')).toBe('none');
    expect(await own.ask('close')).toBe('closed');
  });

  /** Opened before, so that the faults meet no start. */
  beforeEach(async () => {
    await (await openStore({ file, clock: systemClock })).close();
  });

  it.skipIf(!HAS_STRACE).each([
    ['EROFS', 'its disk is read-only'],
    ['EDQUOT', 'its disk quota is used up'],
    ['EACCES', 'the broker may not write its files'],
  ])('unwritable with %s loses nothing and goes on reading', async (error, says) => {
    own = await openOwn(file, { inside: failing('pwrite64', error, 100) });
    const { written, refusal } = await writeUntilRefused(own);
    expect(refusal).toMatch(/^not_recorded: /);
    expect(refusal).toContain(says);
    expect(await own.ask('refusal')).toContain(says);
    expect(await own.ask('write')).toMatch(/^not_recorded: /);
    expect(await own.ask('read')).toBe(`last ${written}`);
    await own.ask('close');
    expect(await own.end()).toBe(0);
    expect(integrityOf(file)).toBe('ok');
    const store = await openStore({ file, clock: systemClock });
    expect(await findMeta(store.read, 'last')).toBe(String(written));
    await store.close();
  });

  it.skipIf(!HAS_STRACE).each([
    ['pwrite64', 100],
    ['fsync,fdatasync', 8],
  ])('one that fails at %s stops writes until a restart, and goes on reading', async (calls, from) => {
    own = await openOwn(file, { inside: failing(calls, 'EIO', from) });
    const { written, refusal } = await writeUntilRefused(own);
    expect(refusal).toMatch(/^outcome_unknown: /);
    expect(await own.ask('write')).toMatch(
      /^store_unwritable: The disk of the database failed \((?:EIO|SQLITE_IOERR\w+)\).*restart the broker/,
    );
    expect(await own.ask('refusal')).toMatch(/^store_unwritable: /);
    expect(await own.ask('read')).toBe(`last ${written}`);
    expect(await own.end()).toBe(0);
    expect(integrityOf(file)).toBe('ok');
    const store = await openStore({ file, clock: systemClock });
    expect(Number(await findMeta(store.read, 'last'))).toBeGreaterThanOrEqual(written);
    expect(await store.writeRefusal()).toBeNull();
    await store.close();
  });
});

describe('a checkpoint', () => {
  it.skipIf(!HAS_STRACE).each([
    ['synchronize what is copied', 'fdatasync,fsync'],
    ['write a page', 'pwrite64'],
  ])('whose disk fails to %s stops writes until a restart, and not reads', async (_what, calls) => {
    await (await openStore({ file, clock: systemClock })).close();
    // Commits are written to the log only, so only checkpoints write the file. The start makes one.
    const inject = ['-P', file, '-e', `inject=${calls}:error=EIO:when=3+`];
    own = await openOwn(file, {
      inside: ['strace', '-f', '-qq', '-o', '/dev/null', ...inject],
      env: { CHECKPOINT_AT: '60' },
    });
    expect(own.opened).toBe('opened');
    const { written, refusal } = await writeUntilRefused(own);
    expect(written).toBeGreaterThan(2);
    const stopped =
      /^store_unwritable: The disk of the database failed \((?:EIO|SQLITE_IOERR\w*)\).*restart the broker/;
    expect(refusal).toMatch(stopped);
    expect(await own.ask('write')).toMatch(stopped);
    expect(await own.ask('refusal')).toMatch(stopped);
    expect(await own.ask('read')).toBe(`last ${written}`);
    expect(await own.end()).toBe(0);
    const store = await openStore({ file, clock: systemClock });
    expect(await findMeta(store.read, 'last')).toBe(String(written));
    expect(await store.writeRefusal()).toBeNull();
    await store.close();
    expect(integrityOf(file)).toBe('ok');
  });
});

describe('a start on a disk that is', () => {
  /** A database with something in its write-ahead log only, as a killed process leaves it. */
  async function leaveDatabase(): Promise<void> {
    const store = await openStore({ file: join(folder, 'before.db'), clock: systemClock });
    await store.writer.write((tx) => setMeta(tx, 'last', 'in the log'));
    for (const part of ['', '-wal', '.lock', '.acknowledged'])
      await cp(join(folder, `before.db${part}`), `${file}${part}`);
    await store.close();
  }

  const STAND_IN =
    /^store_unwritable: The database could not be written when the broker started \(\w+\): .* serves a copy/;

  async function expectStandIn(inside: string[]): Promise<void> {
    const before = await readFile(file);
    own = await openOwn(file, { inside });
    expect(own.opened).toBe('opened');
    expect(await own.ask('read')).toBe('last in the log');
    expect(await own.ask('write')).toMatch(STAND_IN);
    expect(await own.ask('refusal')).toMatch(STAND_IN);
    const copies = () => readdirSync(tmpdir()).filter((name) => name.startsWith('countersign-copy-'));
    const during = copies();
    expect(await own.ask('close')).toBe('closed');
    expect(copies().length).toBeLessThan(during.length);
    expect(await own.end()).toBe(0);
    own = null;
    // A restart on a disk that can be written is an ordinary one.
    expect(await readFile(file)).toEqual(before);
    const store = await openStore({ file, clock: systemClock });
    expect(await findMeta(store.read, 'last')).toBe('in the log');
    expect(await store.writeRefusal()).toBeNull();
    await store.close();
  }

  it.skipIf(!HAS_MOUNTS)('read-only serves a private copy, also of what is only in the log', async () => {
    await leaveDatabase();
    const readOnly = `mount --bind '${folder}' '${folder}' && mount -o remount,bind,ro '${folder}'`;
    await expectStandIn(within(readOnly));
    // Without a lock file it is the same.
    await rm(`${file}.lock`);
    await expectStandIn(within(readOnly));
  });

  it.skipIf(!HAS_MOUNTS)('removes the copies of processes that were killed, and nobody else’s', async () => {
    await leaveDatabase();
    const copiesIn = join(folder, 'copies');
    await mkdir(copiesIn);
    const readOnly = `mount --bind '${folder}' '${folder}' && mount --bind '${copiesIn}' '${copiesIn}' && mount -o remount,bind,ro '${folder}'`;
    const env = { TMPDIR: copiesIn };
    const killed = await openOwn(file, { inside: within(readOnly), env });
    expect(killed.opened).toBe('opened');
    const [left = ''] = await readdir(copiesIn);
    process.kill(killed.pid, 'SIGKILL');
    await killed.end();
    await cp(file, join(folder, 'other.db'));
    await cp(`${file}.acknowledged`, join(folder, 'other.db.acknowledged'));
    const living = await openOwn(join(folder, 'other.db'), { inside: within(readOnly), env });
    expect(living.opened).toBe('opened');
    const livingCopy = (await readdir(copiesIn)).filter((name) => name !== left);
    // Removed already by this start, which made one of its own.
    expect(await readdir(copiesIn)).toEqual(livingCopy);
    expect(livingCopy).toHaveLength(1);
    const others = [
      'countersign-copy-file',
      'countersign-copy-folder',
      'countersign-copy-open',
      'countersign-copy-link',
    ];
    await writeFile(join(copiesIn, 'countersign-copy-file'), 'x');
    for (const [name, content] of [
      ['folder', 'notes.txt'],
      ['open', 'copy.db.lock'],
    ] as const) {
      await mkdir(join(copiesIn, `countersign-copy-${name}`), { mode: name === 'open' ? 0o755 : 0o700 });
      await writeFile(join(copiesIn, `countersign-copy-${name}`, content), '');
    }
    await symlink(join(copiesIn, 'countersign-copy-folder'), join(copiesIn, 'countersign-copy-link'));
    own = await openOwn(file, { env });
    expect(own.opened).toBe('opened');
    expect((await readdir(copiesIn)).toSorted()).toEqual([...livingCopy, ...others].toSorted());
    expect(await living.ask('read')).toMatch(/^last /);
    expect(await living.ask('close')).toBe('closed');
    expect((await readdir(copiesIn)).toSorted()).toEqual(others.toSorted());
    await living.end();
  });

  it.skipIf(!HAS_MOUNTS)('full serves a private copy', async () => {
    await leaveDatabase();
    const disk = join(folder, 'disk');
    const full = `mkdir -p '${disk}' && mount -t tmpfs -o size=4m none '${disk}' && cp '${file}' '${file}-wal' '${file}.acknowledged' '${disk}' && { cat /dev/zero > '${disk}/filler' 2>/dev/null || true; }`;
    own = await openOwn(join(disk, 'test.db'), { inside: within(full) });
    expect(own.opened).toBe('opened');
    expect(await own.ask('read')).toBe('last in the log');
    expect(await own.ask('write')).toMatch(STAND_IN);
    await own.ask('close');
  });

  it.skipIf(!HAS_STRACE).each(['EROFS', 'EACCES', 'EIO', 'EDQUOT'])('unwritable with %s', async (error) => {
    await leaveDatabase();
    const paths = ['', '-wal', '-shm', '.lock'].flatMap((part) => ['-P', `${file}${part}`]);
    const inject = `inject=pwrite64,ftruncate,fallocate:error=${error}`;
    await expectStandIn(['strace', '-f', '-qq', '-o', '/dev/null', ...paths, '-e', inject]);
  });

  it.skipIf(!HAS_MOUNTS)('read-only, with no room for a copy, is refused with what to do', async () => {
    await leaveDatabase();
    const full = `mount -t tmpfs -o size=1m none /dev/shm && mkdir -p '${folder}/t' && mount --bind '${folder}' '${folder}' && mount -o remount,bind,ro '${folder}' && mount -t tmpfs -o size=1m none '${folder}/t'`;
    own = await openOwn(file, { inside: within(full), env: { TMPDIR: join(folder, 't') } });
    expect(own.opened).toMatch(/no folder has room for a copy of \d+ MB.*TMPDIR/);
  });

  it('read-only and in use by another broker is no reason for a copy', async () => {
    const store = await openStore({ file, clock: systemClock });
    own = await openOwn(file);
    expect(own.opened).toContain('is in use by another broker');
    await store.close();
  });
});

describe('a damaged file', () => {
  beforeEach(async () => {
    const store = await openStore({ file, clock: systemClock });
    await store.writer.write((tx) => setMeta(tx, 'last', 'sound'));
    await store.close();
  });

  it('that is found at the start is read and never written, and says so', async () => {
    damageTable(file, 'votes');
    const before = await readFile(file);
    const store = await openStore({ file, clock: systemClock });
    expect(await findMeta(store.read, 'last')).toBe('sound');
    expect(await store.writeRefusal()).toMatchObject({ code: 'store_damaged' });
    await expect(store.writer.write((tx) => setMeta(tx, 'last', 'x'))).rejects.toMatchObject({
      code: 'store_damaged',
    });
    await store.close();
    expect(await readFile(file)).toEqual(before);
  });

  it('that is found later stops writes, whoever meets the damage', async () => {
    const store = await openStore({ file, clock: systemClock });
    await store.writer.write((tx) => setMeta(tx, 'last', 'later'));
    damageTable(file, 'votes');
    await expect(store.read.selectFrom('votes').selectAll().execute()).rejects.toThrow('malformed');
    expect(await findMeta(store.read, 'last')).toBe('later');
    expect(await store.writeRefusal()).toMatchObject({ code: 'store_damaged' });
    await expect(store.writer.write((tx) => setMeta(tx, 'last', 'x'))).rejects.toMatchObject({
      code: 'store_damaged',
    });
    await store.close();
  });

  it('that is large is checked while the broker serves, and then takes no more writes', async () => {
    let store = await openStore({ file, clock: systemClock });
    for (let megabyte = 0; megabyte < 70; megabyte += 1)
      await store.writer.write((tx) => setMeta(tx, `large-${megabyte}`, 'x'.repeat(1024 * 1024)));
    await store.close();
    const lines: string[] = [];
    const log = createLog('info', { write: (line) => lines.push(line) });
    store = await openStore({ file, clock: systemClock, log });
    await expect.poll(() => lines.join(''), { timeout: 20_000 }).toContain('was checked and is sound');
    expect(await store.writeRefusal()).toBeNull();
    await store.close();

    damageTable(file, 'votes');
    store = await openStore({ file, clock: systemClock, log });
    const code = async () => (await store.writeRefusal())?.code;
    await expect.poll(code, { timeout: 20_000 }).toBe('store_damaged');
    expect(await findMeta(store.read, 'last')).toBe('sound');
    await store.close();
  });

  it('that is no database at all is refused', async () => {
    await writeFile(file, 'x'.repeat(8192));
    await rm(`${file}-wal`, { force: true });
    await expect(openStore({ file, clock: systemClock })).rejects.toThrow('no SQLite database');
    expect(existsSync(file)).toBe(true);
  });
});
