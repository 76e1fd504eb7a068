import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { openStore } from '../../src/store/database.ts';
import { findMeta, setMeta } from '../../src/store/installation.ts';
import { statement } from '../../src/store/statement.ts';
import { migrateToTheFuture, occupyTable, settingsOf, tableNames } from '../support/sqlite/file.ts';

let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-store-'));
  file = join(folder, 'test.db');
});

afterEach(() => rm(folder, { recursive: true, force: true }));

describe('a store', () => {
  it('is made on the first opening and kept by the next ones', async () => {
    const first = await openStore({ file, clock: systemClock });
    await first.writer.write((tx) => setMeta(tx, 'kept', 'yes'));
    await first.close();
    const second = await openStore({ file, clock: systemClock });
    expect(await findMeta(second.read, 'kept')).toBe('yes');
    expect(await findMeta(second.read, 'opened')).toBe('2');
    await second.close();
  });

  it('runs in WAL with full synchronization, on a SQLite without the WAL reset bug', async () => {
    const store = await openStore({ file, clock: systemClock });
    const { journalMode, version } = settingsOf(file);
    expect(journalMode).toBe('wal');
    expect((version[0] ?? 0) * 1e6 + (version[1] ?? 0) * 1e3 + (version[2] ?? 0)).toBeGreaterThanOrEqual(
      3_051_003,
    );
    await store.close();
  });

  it('has a reader that cannot write', async () => {
    const store = await openStore({ file, clock: systemClock });
    await expect(store.read.insertInto('meta').values({ key: 'x', value: 'y' }).execute()).rejects.toThrow(
      /readonly/,
    );
    await store.close();
  });

  it('is refused where WAL is not kept: in memory', async () => {
    await expect(openStore({ file: ':memory:', clock: systemClock })).rejects.toThrow(
      /journal_mode=memory.*WAL and FULL/,
    );
  });

  it('is refused when the file is no database', async () => {
    await writeFile(file, 'this is not a database, and long enough to be looked at as one');
    await expect(openStore({ file, clock: systemClock })).rejects.toThrow(/no SQLite database/);
  });

  it('is refused when the schema is one that this broker does not know', async () => {
    const store = await openStore({ file, clock: systemClock });
    await store.close();
    migrateToTheFuture(file);
    await expect(openStore({ file, clock: systemClock })).rejects.toThrow(/newer than this broker/);
  });

  it('has a schema that a first opening which fails half-way does not spoil', async () => {
    const vacate = occupyTable(file, 'votes');
    await expect(openStore({ file, clock: systemClock })).rejects.toThrow(
      /could not migrate the database schema/,
    );
    expect(tableNames(file)).toEqual(['votes']);
    vacate();
    const store = await openStore({ file, clock: systemClock });
    expect(await findMeta(store.read, 'opened')).toBe('1');
    await store.close();
  });
});

describe('a prepared statement', () => {
  const find = statement<{ key: string }, { key: string; value: string }>((db, p) =>
    db.selectFrom('meta').selectAll().where('key', '=', p('key')).where('value', '!=', 'never'),
  );
  const put = statement<{ key: string; value: string }>((db, p) =>
    db
      .insertInto('meta')
      .values({ key: p('key'), value: p('value') })
      .onConflict((c) => c.doNothing()),
  );

  it('binds what it is given each time, and keeps what the query itself says', async () => {
    const store = await openStore({ file, clock: systemClock });
    await store.writer.write(async (tx) => {
      expect((await put(tx, { key: 'a', value: '1' })).affected).toBe(1);
      expect((await put(tx, { key: 'a', value: '2' })).affected).toBe(0);
      await put(tx, { key: 'b', value: 'never' });
    });
    expect((await find(store.read, { key: 'a' })).rows).toEqual([{ key: 'a', value: '1' }]);
    expect((await find(store.read, { key: 'b' })).rows).toEqual([]);
    await store.close();
  });

  it('takes values as values: none is ever read as SQL', async () => {
    const store = await openStore({ file, clock: systemClock });
    const hostile = [
      "'; drop table meta; --",
      '" or 1=1 --',
      '?',
      '\u0000',
      '%',
      '_',
      '💥',
      'x'.repeat(100_000),
    ];
    await store.writer.write(async (tx) => {
      for (const [place, text] of hostile.entries()) await put(tx, { key: text, value: String(place) });
    });
    for (const [place, text] of hostile.entries()) {
      expect((await find(store.read, { key: text })).rows).toEqual([{ key: text, value: String(place) }]);
    }
    await store.close();
  });
});
