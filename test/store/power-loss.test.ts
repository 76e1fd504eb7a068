import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { openStore } from '../../src/store/database.ts';
import { type FileCall, HAS_STRACE, traceFiles } from '../support/file-trace.ts';
import { findContradictions } from '../support/log-oracle.ts';
import { integrityOf } from '../support/sqlite/file.ts';
import { readRequests } from '../support/sqlite/rows.ts';
import { createRandom } from '../support/story.ts';

/*
 * A power failure keeps of each file what was synchronized, and of what was written since as much as it likes. The files
 * are made here from what a real process wrote and synchronized, as of a moment, and opened as after a failure then.
 */

const CHILD = fileURLToPath(new URL('../support/crash-child.ts', import.meta.url));
const ACKNOWLEDGED = 150;

let folder: string;
let calls: FileCall[];
let main: number;
/** The moments at which something was said on the standard output, and what. */
let said: { at: number; text: string }[];

beforeAll(async () => {
  if (!HAS_STRACE) return;
  folder = await mkdtemp(join(tmpdir(), 'countersign-power-'));
  const traced = await traceFiles([process.execPath, CHILD, join(folder, 'traced.db'), 'p'], {
    log: join(folder, 'strace.log'),
    isEnough: (output) => output.split('\n').length > ACKNOWLEDGED,
  });
  expect(traced.errors).toBe('');
  ({ calls, main } = traced);
  said = calls
    .filter(({ name, data }) => name === 'write' && /^[0-9a-z-]+\n$/.test(data.toString('latin1')))
    .map(({ began, data }) => ({ at: began, text: data.toString().trim() }));
  expect(said[0]?.text).toBe('ready');
});

afterAll(async () => {
  if (HAS_STRACE) await rm(folder, { recursive: true, force: true });
});

/** The calls about one file of the database that ended before a moment. */
function callsOf(suffix: string, at: number): FileCall[] {
  return calls.filter(({ path, ended }) => path === join(folder, `traced.db${suffix}`) && ended < at);
}

/** What a power failure leaves of a file. @param keeps whether a write that was not synchronized is there */
function fileAfter(suffix: string, at: number, keeps: () => boolean): Buffer {
  const own = callsOf(suffix, at);
  const syncs = own.filter(({ name, succeeded }) => succeeded && /^f(?:data)?sync$/.test(name));
  const syncedBefore = Math.max(-1, ...syncs.map(({ began }) => began));
  const content = Buffer.alloc(Math.max(0, ...own.map(({ data, offset }) => offset + data.length)));
  let size = 0;
  for (const { name, data, offset, ended } of own) {
    if (ended > syncedBefore && !keeps()) continue;
    if (name === 'ftruncate') {
      content.fill(0, Math.min(offset, size), size);
      size = offset;
    }
    if (name === 'pwrite64') {
      data.copy(content, offset);
      size = Math.max(size, offset + data.length);
    }
  }
  return content.subarray(0, size);
}

/** Opens what a power failure at a moment leaves, and expects everything that was acknowledged before. */
async function expectWhole(at: number, place: string, keeps: () => boolean): Promise<void> {
  await mkdir(join(folder, place));
  const file = join(folder, place, 'after.db');
  for (const suffix of ['', '-wal', '.acknowledged']) {
    await writeFile(`${file}${suffix}`, fileAfter(suffix, at, keeps));
  }
  const store = await openStore({ file, clock: systemClock });
  expect(store.loss).toBeNull();
  expect(integrityOf(file)).toBe('ok');
  expect(await findContradictions(file)).toEqual([]);
  const applied = new Set(
    readRequests(file)
      .filter((row) => row.state === 'applied')
      .map((row) => row.id),
  );
  const acknowledged = said.slice(1).filter((line) => line.at < at);
  expect(acknowledged.map(({ text }) => text).filter((id) => !applied.has(id))).toEqual([]);
  await store.close();
}

describe.skipIf(!HAS_STRACE)('a power failure', () => {
  it('takes nothing that was acknowledged, right after an answer or in the middle of a checkpoint', async () => {
    const random = createRandom(7);
    const copied = callsOf('', Infinity).filter(({ thread, name }) => thread !== main && name === 'pwrite64');
    const begunAnew = callsOf('-wal', Infinity).filter(
      ({ thread, name, offset }) => thread !== main && name === 'pwrite64' && offset === 0,
    );
    expect(begunAnew.length).toBeGreaterThan(1);
    const moments = [
      ...Array.from({ length: 3 }, () => said[1 + Math.floor(random() * (said.length - 1))]?.at),
      ...Array.from({ length: 2 }, () => copied[Math.floor(random() * copied.length)]?.ended),
      begunAnew[0]?.began,
      begunAnew[1]?.ended,
    ].map((at) => (at ?? Number.NaN) + 1);
    for (const [place, at] of moments.entries()) {
      await expectWhole(at, `${place}-nothing`, () => false);
      await expectWhole(at, `${place}-half`, () => random() < 0.5);
    }
  }, 120_000);
});

describe.skipIf(!HAS_STRACE)('the thread that answers', () => {
  it('synchronizes nothing once the broker is ready, at checkpoints neither', () => {
    const readyAt = said[0]?.at ?? Number.NaN;
    const syncs = calls.filter(({ name, began }) => began > readyAt && /^f(?:data)?sync$/.test(name));
    expect(syncs.filter(({ thread }) => thread === main)).toEqual([]);
    const paths = new Set(syncs.map(({ path }) => path.slice(folder.length)));
    expect([...paths]).toEqual(expect.arrayContaining(['/traced.db-wal', '/traced.db']));
  });
});
