import { hash } from 'node:crypto';
import { type RawBuilder, sql } from 'kysely';
import { OF_THE_PLACE } from './moves.ts';
import type { Schema } from './schema.ts';
import type { Db } from './statement.ts';
import { TABLE_KEYS } from './tables.ts';

/*
 * The rows of a table on any engine, in one order and in one form, page by page.
 */

/** A table that is copied. */
export type TableName = keyof Schema;

/** A row as either engine reads it: texts, numbers, bytes and nulls. */
export type Row = Record<string, unknown>;

/** The values by which a row has its place in the order of its table. */
export type RowKey = readonly unknown[];

/** Rows are small, but for those with a whole bundle or a whole decision. */
const PAGE_ROWS: Partial<Record<TableName, number>> = {
  policy_bundles: 4,
  policy_reports: 4,
  record_details: 100,
  requests: 100,
};
const USUAL_PAGE_ROWS = 500;

/** Columns of keys that may be null, with what stands for that. */
const FOR_NULL: Partial<Record<TableName, Readonly<Record<string, number | string>>>> = {
  erasures: { place: 0, pseudonym: '' },
};

function keyColumns(table: TableName): RawBuilder<unknown>[] {
  return TABLE_KEYS[table].map((column) => {
    const forNull = FOR_NULL[table]?.[column];
    return forNull === undefined
      ? sql`${sql.ref(column)}`
      : sql`coalesce(${sql.ref(column)}, ${sql.lit(forNull)})`;
  });
}

/** The condition for what is copied of a table. */
function copied(table: TableName): RawBuilder<unknown>[] {
  return table === 'meta' ? [sql`${sql.ref('key')} not in (${sql.join(OF_THE_PLACE)})`] : [];
}

function where(conditions: readonly RawBuilder<unknown>[]): RawBuilder<unknown> {
  return conditions.length === 0 ? sql`` : sql`where ${sql.join(conditions, sql` and `)}`;
}

/** The key of a row. */
export function keyOf(table: TableName, row: Row): RowKey {
  return TABLE_KEYS[table].map((column) => row[column] ?? FOR_NULL[table]?.[column]);
}

/** The rows after a key, in the order of keys, as many as fit a page; from the first with null. */
export async function readPage(db: Db, table: TableName, after: RowKey | null): Promise<Row[]> {
  const keys = sql.join(keyColumns(table));
  const later = after === null ? [] : [sql`(${keys}) > (${sql.join(after)})`];
  const limit = sql.lit(PAGE_ROWS[table] ?? USUAL_PAGE_ROWS);
  const { rows } = await sql<Row>`select * from ${sql.table(table)}
    ${where([...copied(table), ...later])} order by ${keys} limit ${limit}`.execute(db);
  return rows;
}

/** The key of the last row, or null. */
export async function lastKey(db: Db, table: TableName): Promise<RowKey | null> {
  const order = sql.join(keyColumns(table).map((key) => sql`${key} desc`));
  const { rows } = await sql<Row>`select * from ${sql.table(table)}
    ${where(copied(table))} order by ${order} limit 1`.execute(db);
  return rows[0] === undefined ? null : keyOf(table, rows[0]);
}

/** The number of rows that are copied. */
export async function countRows(db: Db, table: TableName): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*) as count from ${sql.table(table)} ${where(copied(table))}`.execute(db);
  return Number(rows[0]?.count);
}

/** A row in one form, whichever engine it comes from. Bytes are shown by their digest. */
export function rowText(row: Row): string {
  const names = Object.keys(row).toSorted();
  return JSON.stringify(
    names.map((name) => {
      const value = row[name];
      return [name, Buffer.isBuffer(value) ? { sha256: hash('sha256', value, 'hex') } : value];
    }),
  );
}
