import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { openStore } from '../../src/store/database.ts';
import { findMeta, setMeta } from '../../src/store/installation.ts';
import { HAS_STRACE } from '../support/file-trace.ts';
import { integrityOf } from '../support/sqlite/file.ts';

/* Disks that are slow, and disks that fail. */

let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-disk-'));
  file = join(folder, 'test.db');
});

afterEach(() => rm(folder, { recursive: true, force: true }));

/** Runs a program whose calls of the system are tampered with. @returns what it prints */
async function run(inject: string, name: string, ...words: string[]): Promise<unknown> {
  const child = fileURLToPath(new URL(`../support/${name}.ts`, import.meta.url));
  const traced = ['-f', '-qq', '-o', '/dev/null', '-e', `inject=${inject}`, process.execPath, child];
  const { stdout } = await promisify(execFile)('strace', [...traced, ...words]);
  return JSON.parse(stdout);
}

describe.skipIf(!HAS_STRACE)('a disk that takes 400 ms to synchronize', () => {
  it('delays a write, and no read: reads are answered meanwhile, and see nothing of it', async () => {
    const { before, ...rest } = (await run('fsync,fdatasync:delay_enter=400000', 'slow-disk-child')) as {
      before: unknown[];
    };
    expect(rest).toEqual({ state: 'applied', after: { evaluated: true, shown: true } });
    // If the thread waited, the first of them would have to wait for the write.
    expect(before.length).toBeGreaterThan(1);
    for (const seen of before) expect(seen).toEqual({ evaluated: false, shown: false });
  }, 60_000);
});

describe.skipIf(!HAS_STRACE)('a disk that fails to synchronize once', () => {
  it('stops writes for good, and reads go on without what may not be on it', async () => {
    // The count is that of each thread, and the first call is at the opening.
    const { outcomes, failures, seen } = (await run(
      'fdatasync:error=EIO:when=2',
      'failing-disk-child',
      file,
    )) as { outcomes: string[]; failures: string[]; seen: string };
    const written = outcomes.filter((outcome) => outcome === 'written');
    expect(written.length).toBeGreaterThan(0);
    expect(outcomes).toEqual([...written, 'outcome_unknown', 'store_unwritable']);
    expect(failures).toEqual(['EIO']);
    expect(seen).toBe(String(written.length));
    // The next start reads the log again, and copies all of it.
    expect(await readdir(folder)).toContain('test.db-wal');
    const store = await openStore({ file, clock: systemClock });
    expect(integrityOf(file)).toBe('ok');
    expect(Number(await findMeta(store.read, 'turn'))).toBeGreaterThanOrEqual(written.length);
    await store.writer.write((tx) => setMeta(tx, 'turn', 'again'));
    await store.close();
  });
});

describe('a clean stop', () => {
  it('leaves one file with everything, and no log beside it', async () => {
    const store = await openStore({ file, clock: systemClock });
    await store.writer.write((tx) => setMeta(tx, 'k', 'v'));
    await findMeta(store.read, 'k');
    await store.close();
    expect((await readdir(folder)).filter((name) => /-(?:wal|shm)$/.test(name))).toEqual([]);
  });
});
