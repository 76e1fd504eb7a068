import fs from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import fc from 'fast-check';
import { CompiledQuery } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { append } from '../../src/log/append.ts';
import { newId } from '../../src/random.ts';
import { type MovedInputs, moveInputs } from '../../src/retention/archive-inputs.ts';
import { archiveName } from '../../src/store/archive-file.ts';
import { readInput } from '../../src/store/archived-inputs.ts';
import { setMeta } from '../../src/store/installation.ts';
import { readHead } from '../../src/store/log-head.ts';
import { listReplayRows } from '../../src/store/replays.ts';
import type { Store } from '../../src/store/store.ts';
import type { Writer } from '../../src/store/writer.ts';
import { undecidedEntry } from '../support/entries.ts';
import { openControl } from '../support/local-control.ts';
import { createPlace, type Place } from '../support/place.ts';

/* Several processes that move inputs at once, as a broker and the command do on PostgreSQL: no input is lost. */

let place: Place;
let folder: string;
let store: Store;

beforeAll(async () => {
  place = await createPlace();
  folder = await mkdtemp(join(tmpdir(), 'countersign-movers-'));
  const archive = await readFile(new URL('../../policies/examples/demo/bundle.tar.gz', import.meta.url));
  ({ store } = await openControl({ file: place.database, archive, clock: systemClock }));
});
afterAll(async () => {
  await store.close();
  await place.remove();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(() => grow());

/** Two more records. */
async function grow(): Promise<void> {
  for (let count = 0; count < 2; count += 1)
    await store.writer.write(async (tx) => append(tx, await undecidedEntry(tx)));
}

const EVERYTHING = Number.MAX_SAFE_INTEGER;

/** What a mover waits for before and after each of its writes. @param write counted from 1 */
type Gate = (when: 'before' | 'after', write: number) => Promise<unknown> | undefined;

/** Another process that moves inputs. @param before_ms 0: nothing is old enough for it */
function move(gate: Gate = () => undefined, before_ms = EVERYTHING): Promise<MovedInputs | null> {
  let writes = 0;
  const write: Writer['write'] = async (...given) => {
    writes += 1;
    const number = writes;
    await gate('before', number);
    const result = await store.writer.write(...given);
    await gate('after', number);
    return result;
  };
  const deps = { store: { ...store, writer: { ...store.writer, write } }, clock: systemClock, newId };
  return moveInputs(deps, { before_ms, folder });
}

const query = (text: string) => store.read.executeQuery<Record<string, string>>(CompiledQuery.raw(text));

/** Every input can be read, every file is of a record, and nothing is announced. */
async function assertWhole(): Promise<void> {
  const rows = await listReplayRows(store.read, { from: 1, to: 100_000, limit: 100_000 });
  for (const row of rows) {
    const input = await readInput({ archiveFolder: folder }, row);
    expect(JSON.parse(input ?? ''), `place ${row.place}`).toBeTypeOf('object');
  }
  const recorded = (await query('select file from archives')).rows.map(({ file }) => file);
  expect((await readdir(folder)).toSorted()).toEqual(recorded.toSorted());
  expect((await query(`select value from meta where key = 'announced_archives'`)).rows).toEqual([]);
}

it('keeps a file that another has recorded since it was seen on the list', async () => {
  const seen = Promise.withResolvers<void>();
  const recorded = Promise.withResolvers<void>();
  let slow: Promise<unknown> | undefined;
  // The slow one has collected the same records, and has read the list, before the fast one records its file.
  const fast = await move(async (when, write) => {
    if (when !== 'before' || write !== 2) return;
    slow = move((its, first) => {
      if (its !== 'before' || first !== 1) return;
      seen.resolve();
      return recorded.promise;
    });
    await seen.promise;
  });
  expect(fast?.count).toBeGreaterThan(0);
  expect(await readdir(folder)).toContain(fast?.file);
  recorded.resolve();
  expect(await slow).toBeNull();
  await assertWhole();
});

it.each([
  ['that has nothing to move', 0],
  ['that moves the same', EVERYTHING],
])('does not record a file that another removes, %s', async (_, before_ms) => {
  let other: MovedInputs | null = null;
  const lost = await move(async (when, write) => {
    if (when === 'before' && write === 2) other = await move(undefined, before_ms);
  });
  expect(lost).toBeNull();
  expect(other === null).toBe(before_ms === 0);
  await assertWhole();
  if (before_ms === 0) expect(await move()).toMatchObject({ count: expect.any(Number) });
  await assertWhole();
});

describe('the folder', () => {
  it('that is not there is said before anything is announced', async () => {
    await writeFile(join(folder, 'a-file'), '');
    for (const [name, said] of [
      ['absent', /absent \(retention.archive_folder\) cannot be found \(ENOENT\): create it, or mount it/],
      ['a-file', /a-file \(retention.archive_folder\) is not a directory/],
    ] as const) {
      const options = { before_ms: EVERYTHING, folder: join(folder, name) };
      await expect(moveInputs({ store, clock: systemClock, newId }, options)).rejects.toThrow(said);
      expect((await query(`select value from meta where key = 'announced_archives'`)).rows).toEqual([]);
    }
    await rm(join(folder, 'a-file'));
  });

  it('is made durable while others have their turn, since it may be on another machine', async () => {
    const [atOnce, aside] = [vi.spyOn(fs, 'openSync'), vi.spyOn(fs.promises, 'open')];
    syncBuiltinESMExports();
    try {
      const lost = await move(async (when, write) => {
        if (when === 'before' && write === 2) await move();
      });
      expect(lost).toBeNull();
      // Two files were written, and one removed twice.
      expect(aside.mock.calls.filter(([path]) => path === folder).length).toBeGreaterThan(3);
      expect(atOnce.mock.calls.filter(([path]) => String(path).startsWith(folder))).toEqual([]);
    } finally {
      vi.restoreAllMocks();
      syncBuiltinESMExports();
    }
    await assertWhole();
  });
});

it('gives everybody else a turn between inputs that take long to seal', async () => {
  const words = Array.from({ length: 20_000 }, (_, number) => `word-${number}`);
  const input_json = JSON.stringify({ words });
  for (let count = 0; count < 5; count += 1)
    await store.writer.write(async (tx) => {
      const entry = await undecidedEntry(tx);
      await append(tx, { ...entry, decision: { ...entry.decision, input_json } });
    });
  let inTurn = 0;
  const counts: number[] = [];
  const tick = () => {
    if (inTurn > 0) counts.push(inTurn);
    inTurn = 0;
    next = setImmediate(tick);
  };
  let next = setImmediate(tick);
  const { parse } = JSON;
  const spy = vi.spyOn(JSON, 'parse').mockImplementation((text, ...rest) => {
    if (text === input_json) inTurn += 1;
    return parse(text, ...rest);
  });
  try {
    expect((await move())?.count).toBeGreaterThan(5);
  } finally {
    spy.mockRestore();
    clearImmediate(next);
  }
  expect(counts).toEqual([1, 1, 1, 1, 1]);
});

describe('a list that somebody else has changed', () => {
  const announceForged = (text: string) =>
    store.writer.write((tx) => setMeta(tx, 'announced_archives', text));

  it.each([
    ['a path', async () => '../kept', /has "..\/kept", which is no archive of this installation/],
    ['an absolute path', async () => '/etc/kept', /which is no archive of this installation/],
    ['another file', async () => 'kept', /which is no archive of this installation/],
    [
      'an archive of others',
      async () => 'inputs-00000000-1-2-0123456789ab.archive',
      /which is no archive of this installation/,
    ],
    ['a path with the name of an archive', async () => `sub/${await ownName()}`, /no archive of this/],
    ['no name', async () => 7, /has 7, which is no archive/],
    ['a file with inputs', () => recordedFile(), /has inputs-\S+, which has inputs of the log/],
  ])('by %s is said to be, and nothing is removed', async (_, forged, said) => {
    await move();
    await grow();
    await writeFile(join(folder, 'kept'), '');
    const own = await ownName();
    await writeFile(join(folder, own), '');
    const before = await readdir(folder);
    // What is its own is not removed either.
    const list = JSON.stringify([own, await forged()]);
    await announceForged(list);
    for (const before_ms of [EVERYTHING, 0]) await expect(move(undefined, before_ms)).rejects.toThrow(said);
    expect(await readdir(folder)).toEqual(before);
    const { rows } = await query(`select value from meta where key = 'announced_archives'`);
    expect(rows).toEqual([{ value: list }]);
    await rm(join(folder, 'kept'));
    await announceForged(JSON.stringify([own]));
    expect(await move()).not.toBeNull();
    await assertWhole();
  });

  it.each(['{}', '', '"../kept"'])('to %j is said to be', async (text) => {
    await announceForged(text);
    await expect(move()).rejects.toThrow(/is no list of names: somebody else has changed the database/);
    await announceForged('[]');
    await move();
    await assertWhole();
  });

  async function recordedFile(): Promise<string> {
    return (await query('select file from archives')).rows[0]?.file ?? '';
  }

  /** The name of a file that a mover of this installation might have left. */
  async function ownName(): Promise<string> {
    const { installation } = await readHead(store.read);
    return archiveName({ installation, from_place: 1, to_place: 2 }, newId(Date.now()));
  }
});

it('reads no file that has another name than an archive', async () => {
  await move();
  const [row] = await listReplayRows(store.read, { from: 1, to: 1, limit: 1 });
  if (row?.file === null || row === undefined) throw new Error('it was not moved');
  const { file } = row;
  await writeFile(join(folder, 'other'), await readFile(join(folder, file)));
  for (const name of [
    'other',
    `./${file}`,
    `../${basename(folder)}/${file}`,
    join(folder, file),
    `${file}\n`,
  ])
    await expect(readInput({ archiveFolder: folder }, { ...row, file: name }), name).rejects.toMatchObject({
      code: 'archive_damaged',
      message: expect.stringContaining('which is no name of an archive'),
    });
  await rm(join(folder, 'other'));
});

it('in any order of their steps', { timeout: 120_000 }, async () => {
  let moved = 0;
  const ages = fc.array(fc.constantFrom(EVERYTHING, EVERYTHING, 0), { minLength: 2, maxLength: 4 });
  const property = fc.asyncProperty(fc.scheduler(), ages, async (scheduler, movers) => {
    await grow();
    const all = movers.map((before_ms, mover) =>
      move((when, write) => scheduler.schedule(Promise.resolve(), `${mover} ${when} ${write}`), before_ms),
    );
    const results = await scheduler.waitFor(Promise.all(all));
    moved += results.filter((result) => result !== null).length;
    // What a mover has left that was overtaken is removed by the next one.
    await move();
    await assertWhole();
  });
  await fc.assert(property, { numRuns: 15 });
  expect(moved).toBeGreaterThan(5);
});
