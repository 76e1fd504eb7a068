import { type Kysely, type RawBuilder, sql } from 'kysely';

/** The unique keys of a table, as lists of columns. */
type UniqueKeys = readonly (readonly string[])[];

/**
 * Creates triggers that make a table append-only for every connection.
 *
 * @param keys its unique keys: otherwise an `insert or replace` would remove a row without firing the delete trigger
 * @param options.ignoresRepeats a duplicate row is ignored instead of refused
 * @param options.erasable SQL condition over `old` under which a row may be deleted
 * @param options.changeable SQL condition over `old` and `new` under which a row may be updated
 * @param options.insertable SQL condition over `new` under which a row may be inserted; default: any
 */
export async function refuseChanges(
  db: Kysely<unknown>,
  table: string,
  keys: UniqueKeys,
  options: { ignoresRepeats?: boolean; erasable?: string; changeable?: string; insertable?: string } = {},
): Promise<void> {
  const { erasable, changeable, insertable } = options;
  const refusal = sql`raise(abort, ${sql.lit(`${table} is append-only`)})`;
  const refuse = (what: 'update' | 'delete', unless: string | undefined) =>
    sql`create trigger ${sql.id(`${table}_refuse_${what}`)} before ${sql.raw(what)} on ${sql.id(table)}
      ${unlessTrue(unless)} begin select ${refusal}; end`.execute(db);
  await refuse('update', changeable);
  await refuse('delete', erasable);
  if (insertable !== undefined)
    await sql`create trigger ${sql.id(`${table}_refuse_unsaid`)} before insert on ${sql.id(table)}
      ${unlessTrue(insertable)} begin select raise(abort, ${sql.lit(`no record says this of ${table}`)}); end`.execute(
      db,
    );
  const isTaken = keys.map((key) => {
    const same = key.map((column) => sql`${sql.id(column)} = new.${sql.id(column)}`);
    return sql`exists (select 1 from ${sql.id(table)} where ${sql.join(same, sql` and `)})`;
  });
  const answer = options.ignoresRepeats === true ? sql`raise(ignore)` : refusal;
  await sql`create trigger ${sql.id(`${table}_refuse_replace`)} before insert on ${sql.id(table)}
    when ${sql.join(isTaken, sql` or `)} begin select ${answer}; end`.execute(db);
}

function unlessTrue(condition: string | undefined): RawBuilder<unknown> {
  return condition === undefined ? sql`` : sql`when not (${sql.raw(condition)})`;
}
