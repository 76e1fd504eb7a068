import { type Kysely, sql } from 'kysely';

/** The unique keys of a table, as lists of columns. */
type UniqueKeys = readonly (readonly string[])[];

/**
 * Creates triggers that make a table append-only for every connection.
 *
 * @param keys its unique keys: otherwise an `insert or replace` would remove a row without firing the delete trigger
 * @param options.ignoresRepeats a duplicate row is ignored instead of refused
 * @param options.erasable SQL condition over `old` under which a row may be deleted
 */
export async function refuseChanges(
  db: Kysely<unknown>,
  table: string,
  keys: UniqueKeys,
  options: { ignoresRepeats?: boolean; erasable?: string } = {},
): Promise<void> {
  const refusal = sql`raise(abort, ${sql.lit(`${table} is append-only`)})`;
  await sql`create trigger ${sql.id(`${table}_refuse_update`)} before update on ${sql.id(table)}
    begin select ${refusal}; end`.execute(db);
  const unlessErasable =
    options.erasable === undefined ? sql`` : sql`when not (${sql.raw(options.erasable)})`;
  await sql`create trigger ${sql.id(`${table}_refuse_delete`)} before delete on ${sql.id(table)}
    ${unlessErasable} begin select ${refusal}; end`.execute(db);
  const isTaken = keys.map((key) => {
    const same = key.map((column) => sql`${sql.id(column)} = new.${sql.id(column)}`);
    return sql`exists (select 1 from ${sql.id(table)} where ${sql.join(same, sql` and `)})`;
  });
  const answer = options.ignoresRepeats === true ? sql`raise(ignore)` : refusal;
  await sql`create trigger ${sql.id(`${table}_refuse_replace`)} before insert on ${sql.id(table)}
    when ${sql.join(isTaken, sql` or `)} begin select ${answer}; end`.execute(db);
}
