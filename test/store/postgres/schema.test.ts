import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import { openStore } from '../../../src/store/database.ts';
import { APPEND_ONLY } from '../../../src/store/postgres/guards.ts';
import { readPage } from '../../docs/pages.ts';
import { createDatabase, type TestDatabase } from '../../support/postgres.ts';
import { hasPostgres } from '../../support/postgres-server.ts';
import { type ColumnOf, readColumns, readGuarded, readKeys } from '../../support/sqlite/schema.ts';

/** Tables that only one engine needs. */
const OWN = /^(sqlite_sequence|kysely_.*|writers)$/;

describe.skipIf(!hasPostgres('the schema on PostgreSQL'))('the schema on PostgreSQL', () => {
  let database: TestDatabase;
  let folder: string;
  let file: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'countersign-schema-'));
    file = join(folder, 'schema.db');
    database = await createDatabase();
    for (const name of [file, database.address]) {
      await (await openStore({ file: name, clock: systemClock })).close();
    }
  });

  afterAll(async () => {
    await database.remove();
    await rm(folder, { recursive: true });
  });

  it('has the tables and columns that the migrations of SQLite lead to', async () => {
    const found =
      (await database.run(`select c.table_name as "table", c.column_name as name, c.data_type as type,
        c.is_nullable = 'YES' as nullable, coalesce(k.ordinal_position, 0)::int as key
      from information_schema.columns c
      left join information_schema.table_constraints t on t.table_schema = 'public'
        and t.table_name = c.table_name and t.constraint_type = 'PRIMARY KEY'
      left join information_schema.key_column_usage k on k.constraint_name = t.constraint_name
        and k.table_name = c.table_name and k.column_name = c.column_name
      where c.table_schema = 'public'`)) as unknown as ColumnOf[];
    expect(shared(found).length).toBeGreaterThan(200);
    expect(shared(found)).toEqual(shared(readColumns(file)));
  });

  it('has the unique keys and indices of SQLite', async () => {
    const { indices, unique } = readKeys(file);
    const found = await database.run(
      "select indexname as name from pg_indexes where schemaname = 'public' and indexname !~ '_(pkey|key)$'",
    );
    expect(found.map(({ name }) => name).sort()).toEqual(indices);
    const keys = await database.run(
      "select count(*)::int as count from information_schema.table_constraints where constraint_type = 'UNIQUE' and table_schema = 'public'",
    );
    expect(keys).toEqual([{ count: unique }]);
  });

  it('compares texts by their bytes', async () => {
    const found = await database.run(`select table_name, column_name from information_schema.columns
      where table_schema = 'public' and data_type = 'text' and collation_name is distinct from 'C'`);
    expect(found).toEqual([]);
  });

  it('has everything that a broker of the schema before relies on, and nothing that it would leave empty', async () => {
    // Replaced at a release by the columns of that release: what is left out here can be removed by no later version.
    const former = new Map(
      Object.entries(
        JSON.parse(readPage('test/store/postgres/former-schema.json')) as Record<string, string>,
      ),
    );
    const columns = await database.run(`select table_name || '.' || column_name as name, data_type as type,
      is_nullable = 'YES' as nullable, column_default is not null as filled
      from information_schema.columns where table_schema = 'public'`);
    const found = new Map(columns.map((column) => [String(column.name), column]));
    expect(former.size).toBeGreaterThan(200);
    for (const [name, type] of former) {
      const column = found.get(name);
      expect(column?.type, name).toBe(type.replace('?', ''));
      if (type.endsWith('?')) expect(column?.nullable, `${name} was allowed to be empty`).toBe(true);
    }
    const tables = new Set([...former.keys()].map((name) => name.split('.')[0]));
    for (const [name, { nullable, filled }] of found) {
      if (former.has(name) || !tables.has(name.split('.')[0])) continue;
      expect(nullable === true || filled === true, `${name} must be nullable, or have a default`).toBe(true);
    }
  });

  it('guards the same tables', () => {
    expect(Object.keys(APPEND_ONLY).sort()).toEqual(readGuarded(file));
  });
});

/** The columns that both engines have, in one order. */
function shared(columns: readonly ColumnOf[]): ColumnOf[] {
  const name = (column: ColumnOf) => `${column.table}.${column.name}`;
  return columns
    .filter(({ table }) => !OWN.test(table))
    .toSorted((one, other) => (name(one) < name(other) ? -1 : 1));
}
