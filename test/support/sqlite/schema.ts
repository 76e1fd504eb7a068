import { reading } from './file.ts';

/* The schema of a file, as it is compared with that of PostgreSQL. */

/** A column, in the words of PostgreSQL. */
export interface ColumnOf {
  table: string;
  name: string;
  type: string;
  nullable: boolean;
  /** Its place in the primary key, from 1; 0 if it is not in there. */
  key: number;
}

const TYPES: Readonly<Record<string, string>> = { integer: 'bigint', blob: 'bytea' };

/** The columns of all tables. */
export function readColumns(file: string): ColumnOf[] {
  const rows = reading(file, (db) =>
    db
      .prepare(
        `select m.name as "table", c.name, lower(c.type) as type, c."notnull" as required, c.pk as key
          from sqlite_master m join pragma_table_info(m.name) c where m.type = 'table'`,
      )
      .all(),
  ) as (Omit<ColumnOf, 'nullable'> & { required: number })[];
  return rows.map(({ required, type, ...column }) => ({
    ...column,
    type: TYPES[type] ?? type,
    nullable: required === 0,
  }));
}

/** The names of the indices that have one, and the number of unique keys. */
export function readKeys(file: string): { indices: string[]; unique: number } {
  return reading(file, (db) => ({
    indices: db
      .prepare("select name from sqlite_master where type = 'index' and sql is not null order by name")
      .pluck()
      .all() as string[],
    unique: db
      .prepare(
        `select count(*) from sqlite_master m join pragma_index_list(m.name) i
          where m.type = 'table' and i.origin = 'u' and m.name not like 'kysely%'`,
      )
      .pluck()
      .get() as number,
  }));
}

/** The tables that have triggers. */
export function readGuarded(file: string): string[] {
  return reading(file, (db) =>
    db.prepare("select distinct tbl_name from sqlite_master where type = 'trigger' order by 1").pluck().all(),
  ) as string[];
}
