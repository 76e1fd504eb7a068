import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { createLog } from '../../src/logger.ts';
import { openStore } from '../../src/store/database.ts';
import { findMeta, setMeta } from '../../src/store/installation.ts';
import type { Store } from '../../src/store/store.ts';
import type {
  CheckpointProgress,
  CheckpointReport,
  CheckpointStep,
  CheckpointTask,
} from '../../src/store/wal-checkpoints.ts';
import { logWalCheckpoints } from '../../src/store/wal-reports.ts';
import { integrityOf } from '../support/sqlite/file.ts';

/* The write-ahead log is copied and begun anew, whoever reads the database meanwhile. */

const READER = fileURLToPath(new URL('../support/sqlite/long-reader.ts', import.meta.url));
const LIMITS = { checkpointAt: 100, refuseAt: 600 };
const PAGE = 4096;

let folder: string;
let file: string;
let store: Store;
let reports: CheckpointReport[];
let reader: ChildProcess | null = null;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-wal-'));
  file = join(folder, 'test.db');
  reports = [];
  store = await openStore({
    file,
    clock: systemClock,
    walLimits: LIMITS,
    onWalCheckpoint: (report) => reports.push(report),
    onFailure: () => expect.unreachable(),
  });
});

afterEach(async () => {
  reader?.kill('SIGKILL');
  reader = null;
  await store.close();
  await rm(folder, { recursive: true, force: true });
});

/** Writes about ten pages. */
const write = (turn: number) =>
  store.writer.write((tx) => setMeta(tx, `k${turn % 20}`, String(turn).padEnd(40_000, 'x')));

const walPages = () => statSync(`${file}-wal`).size / (PAGE + 24);

/** A process that reads the present state, and is then stopped in the middle of it. */
async function readForLong(): Promise<ChildProcess> {
  const child = spawn(process.execPath, [READER, file], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  child.kill('SIGSTOP');
  return child;
}

/** Writes until a report or a refusal ends it. @returns the error of the write that failed */
async function writeUntil(isEnough: () => boolean): Promise<unknown> {
  for (let turn = 0; !isEnough(); turn += 1) {
    const error = await write(turn).then(
      () => null,
      (failure: unknown) => failure,
    );
    if (error !== null) return error;
  }
  return null;
}

describe('the write-ahead log', () => {
  it('is begun anew again and again, and stays small', async () => {
    expect(await writeUntil(() => reports.length >= 5)).toBeNull();
    expect(reports.map(({ outcome }) => outcome)).toEqual(reports.map(() => 'done'));
    for (const { pages, copied } of reports) expect(copied).toBe(pages);
    expect(walPages()).toBeLessThanOrEqual(LIMITS.refuseAt);
    expect(store.wal()).toMatchObject({ blocked_ms: 0, checkpoints: { done: 5, blocked: 0, failed: 0 } });
    expect(integrityOf(file)).toBe('ok');
  });

  it('is not begun anew by a write, which would wait for the disk, once all of it is copied', async () => {
    // Whose own thread has nothing to do.
    await store.close();
    store = await openStore({ file, clock: systemClock });
    for (let turn = 0; turn < 5; turn += 1) await write(turn);
    const databaseFile = openSync(file, 'r');
    const workerData = { file, databaseFile, keepBytes: 1_000_000 } satisfies CheckpointTask;
    const thread = new Worker(new URL('../../src/store/wal-checkpoint-worker.ts', import.meta.url), {
      workerData,
    });
    const ask = async (step: CheckpointStep) => {
      thread.postMessage(step);
      const [answer] = await once(thread, 'message');
      return answer as CheckpointProgress;
    };
    const first = await ask('copy');
    expect(first).toMatchObject({ copied: first.pages, isBlocked: false });
    for (let turn = 5; turn < 7; turn += 1) await write(turn);
    // The state is as of the last batch but one.
    expect(store.wal()?.bytes).toBeGreaterThan(first.pages * PAGE);
    expect(await ask('restart')).toMatchObject({ isBlocked: false });
    for (let turn = 7; turn < 9; turn += 1) await write(turn);
    expect(store.wal()?.bytes).toBeLessThan(first.pages * PAGE);
    thread.postMessage('stop');
    await once(thread, 'exit');
    await store.close();
    closeSync(databaseFile);
  });

  it('holds everything in whatever way it is begun anew', async () => {
    await writeUntil(() => reports.length >= 3);
    await write(7);
    await store.close();
    store = await openStore({ file, clock: systemClock });
    expect(await findMeta(store.read, 'k7')).toBe('7'.padEnd(40_000, 'x'));
    expect(integrityOf(file)).toBe('ok');
  });
});

describe('the log of the broker', () => {
  it('has each checkpoint, one that failed at once, one that is blocked by more than a read, and then each minute', () => {
    const lines: string[] = [];
    const log = createLog('info', { write: (line: string) => lines.push(line) });
    const report = logWalCheckpoints(log);
    const counts = { pages: 10, copied: 5, pause_ms: 1 };
    for (const blocked_ms of [0.4, 5, 1000, 4999, 5000, 6000, 64_999, 65_000, 66_000]) {
      report({ ...counts, outcome: 'blocked', blocked_ms });
    }
    report({ ...counts, outcome: 'done', blocked_ms: 0 });
    report({ ...counts, outcome: 'failed', blocked_ms: 1, error: { code: 'SQLITE_FULL', message: 'full' } });
    expect(lines.map((line) => JSON.parse(line)).map(({ level, blocked_ms }) => [level, blocked_ms])).toEqual(
      [
        [40, 5000],
        [40, 65_000],
        [30, 0],
        [50, 1],
      ],
    );
  });
});

describe('a process that reads for long, and is stopped', () => {
  it('stops writes at the limit of the log, and not reads; then the log shrinks and writes go on', async () => {
    await write(0);
    reader = await readForLong();
    const error = await writeUntil(() => false);
    expect(error).toMatchObject({ code: 'database_in_use', fields: { headers: { 'Retry-After': '5' } } });
    expect((error as Error).message).toMatch(/has been reading the database for \d+ seconds/);
    expect(walPages()).toBeGreaterThanOrEqual(LIMITS.refuseAt);
    // One batch may have begun below it.
    expect(walPages()).toBeLessThan(LIMITS.refuseAt + 100);
    expect(await findMeta(store.read, 'k0')).toContain('xxx');
    expect(await store.writeRefusal()).toMatchObject({ code: 'database_in_use' });
    expect(reports.some(({ outcome, blocked_ms }) => outcome === 'blocked' && blocked_ms > 0)).toBe(true);

    reader.kill('SIGKILL');
    await once(reader, 'exit');
    // Nobody writes: the broker tries again by itself.
    while (reports.at(-1)?.outcome !== 'done') await new Promise((resolve) => setTimeout(resolve, 50));
    expect(await store.writeRefusal()).toBeNull();
    await write(1);
    expect(walPages()).toBeLessThanOrEqual(2 * LIMITS.checkpointAt + 1);
    expect(store.wal()?.blocked_ms).toBe(0);
  });
});
