import { PostgresAdapter, type RawBuilder, sql } from 'kysely';
import type { Db } from './statement.ts';

/*
 * The expressions for which SQLite and PostgreSQL have no common words. Everything else is in their shared subset.
 */

/** Whether a server has the database. */
export function isPostgres(db: Db): boolean {
  return db.getExecutor().adapter instanceof PostgresAdapter;
}

/** A JSON object, as a text, of the names and the numbers in two columns; null or empty if there are no rows. */
export function objectOf(db: Db, name: string, value: string): RawBuilder<string | null> {
  const [names, values] = [sql.ref(name), sql.ref(value)];
  return isPostgres(db)
    ? sql<string | null>`json_object_agg(${names}, ${values})::text`
    : sql<string | null>`json_group_object(${names}, ${values})`;
}

/** Whether a column has one of these values, however many they are: they are one parameter. */
export function isAmong(
  db: Db,
  column: string,
  values: readonly string[] | readonly number[],
): RawBuilder<boolean> {
  if (isPostgres(db)) {
    const type = typeof values[0] === 'number' ? sql`bigint[]` : sql`text[]`;
    return sql<boolean>`${sql.ref(column)} = any(${values}::${type})`;
  }
  return sql<boolean>`${sql.ref(column)} in (select value from json_each(${JSON.stringify(values)}))`;
}

/** Whether a column has one of the texts of a JSON array, which is the parameter of a prepared statement. */
export function isInArray(db: Db, column: string, array: string): RawBuilder<boolean> {
  const values = isPostgres(db)
    ? sql`select json_array_elements_text(${array}::json)`
    : sql`select value from json_each(${array})`;
  return sql<boolean>`${sql.ref(column)} in (${values})`;
}

/** A column that SQLite does not look for in an index, where it would choose a wrong one. PostgreSQL knows what its indices hold. */
export function notByIndex(db: Db, column: string): RawBuilder<unknown> {
  return isPostgres(db) ? sql`${sql.ref(column)}` : sql`+${sql.ref(column)}`;
}

/** Whether a column with a JSON array of texts, or null, has that element. */
export function hasElement(db: Db, column: string, element: string): RawBuilder<boolean> {
  const values = isPostgres(db)
    ? sql`json_array_elements_text(${sql.ref(column)}::json) as elements (value)`
    : sql`json_each(${sql.ref(column)})`;
  return sql<boolean>`exists (select 1 from ${values} where value = ${element})`;
}

/**
 * A text in a column with JSON, by the names of the objects that it is in.
 *
 * On PostgreSQL it is compared as JSON, because other members may have characters that its texts cannot hold.
 */
export function isMember(
  db: Db,
  { column, path, text }: { column: string; path: readonly string[]; text: string },
): RawBuilder<boolean> {
  if (isPostgres(db)) return sql<boolean>`(${jsonAt(column, path)})::text = ${sql.lit(JSON.stringify(text))}`;
  return sql<boolean>`${extract(column, path)} = ${sql.lit(text)}`;
}

/** A number in a column with JSON, or null. */
export function memberNumber(db: Db, column: string, path: readonly string[]): RawBuilder<number | null> {
  if (isPostgres(db)) return sql<number | null>`nullif((${jsonAt(column, path)})::text, 'null')::bigint`;
  return sql<number | null>`${extract(column, path)}`;
}

function jsonAt(column: string, path: readonly string[]) {
  return sql`${sql.ref(column)}::json #> ${sql.lit(`{${path.join(',')}}`)}`;
}

function extract(column: string, path: readonly string[]) {
  return sql`json_extract(${sql.ref(column)}, ${sql.lit(`$.${path.join('.')}`)})`;
}
