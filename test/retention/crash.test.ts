import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CompiledQuery } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { append } from '../../src/log/append.ts';
import { newId } from '../../src/random.ts';
import { moveInputs } from '../../src/retention/archive-inputs.ts';
import { readInput } from '../../src/store/archived-inputs.ts';
import { openStore } from '../../src/store/database.ts';
import { listReplayRows } from '../../src/store/replays.ts';
import type { Store } from '../../src/store/store.ts';
import { undecidedEntry } from '../support/entries.ts';
import { openControl } from '../support/local-control.ts';

/* A process that is killed while rows leave the database, between each two steps: all of it, or nothing. */

const RECORDS = 7;

let root: string;
let file: string;
let folder: string;
/** The inputs at the beginning, by their places. */
let originals: (string | null)[];

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'countersign-'));
  file = join(root, 'crash.db');
  folder = join(root, 'archives');
  await mkdir(folder);
  const archive = await readFile(new URL('../../policies/examples/demo/bundle.tar.gz', import.meta.url));
  const { store } = await openControl({ file, archive, clock: systemClock });
  for (let count = 1; count < RECORDS; count += 1)
    await store.writer.write(async (tx) => append(tx, await undecidedEntry(tx)));
  originals = (await listReplayRows(store.read, { from: 1, to: 1000, limit: 1000 })).map(
    ({ input }) => input,
  );
  await store.close();
});
afterAll(() => rm(root, { recursive: true, force: true }));

const CHILD = new URL('../support/retention-child.ts', import.meta.url).pathname;

/** Runs a child until it is killed. */
const kill = (...words: string[]) =>
  new Promise<void>((resolve, reject) => {
    execFile(process.execPath, [CHILD, file, folder, ...words], (error, out, err) => {
      if (error?.signal === 'SIGKILL') resolve();
      else reject(new Error(`${out} ${err}`));
    });
  });

async function withStore<T>(work: (store: Store) => Promise<T>): Promise<T> {
  const store = await openStore({ file, clock: systemClock, archiveFolder: folder });
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

/** What the database says, and what can be read. */
const look = () =>
  withStore(async (store) => {
    const count = async (text: string) =>
      Number((await store.read.executeQuery<{ n: number }>(CompiledQuery.raw(text))).rows[0]?.n);
    const rows = await listReplayRows(store.read, { from: 1, to: 1000, limit: 1000 });
    const inputs = await Promise.all(rows.map((row) => readInput(store, row)));
    return {
      leaves: rows.length,
      readable: inputs.filter((input) => input !== null && input.length > 0).length,
      own: originals.filter((input, index) => input === inputs[index]).length,
      archives: await count('select count(*) as n from archives'),
      keys: await count('select count(*) as n from archived_inputs'),
      erasures: await count('select count(*) as n from erasures'),
      files: (await readdir(folder)).length,
    };
  });

describe('a process that is killed', () => {
  it('while it archives inputs leaves all of them in the database, or in a file with its record', async () => {
    const before = { leaves: RECORDS, readable: RECORDS, own: RECORDS, archives: 0, keys: 0, erasures: 0 };
    await kill('archive', 'announced');
    expect(await look()).toEqual({ ...before, files: 0 });
    await kill('archive', 'written');
    expect(await look()).toEqual({ ...before, files: 1 });
    // The next one removes the file that nothing refers to, and is killed after its own commit.
    const [left] = await readdir(folder);
    await kill('archive', 'moved');
    const after = { ...before, leaves: RECORDS + 1, readable: RECORDS + 1, archives: 1, keys: RECORDS };
    expect(await look()).toEqual({ ...after, files: 1 });
    expect(await readdir(folder)).not.toContain(left);
    // The record of the move is itself a record, whose input moves with the next one.
    const options = { before_ms: Number.MAX_SAFE_INTEGER, folder };
    const deps = (store: Store) => ({ store, clock: systemClock, newId });
    expect(await withStore((store) => moveInputs(deps(store), options))).toMatchObject({ count: 1 });
    expect(await look()).toMatchObject({ archives: 2, keys: RECORDS + 1, files: 2 });
  });

  it('while it erases has erased nothing, and the next one erases everything', async () => {
    const before = await look();
    for (const moment of ['1', '2', '3', 'commit']) {
      await kill('erase', moment, '2', '3', '4');
      expect(await look(), moment).toEqual(before);
    }
    await expect(kill('erase', 'never', '2', '3', '4')).rejects.toThrow(
      /^[3-9] statements, and erase went on/,
    );
    expect(await look()).toEqual({
      ...before,
      leaves: before.leaves + 1,
      readable: before.readable - 2,
      own: before.own - 3,
      keys: before.keys - 3,
      erasures: 3,
    });
  });
});
