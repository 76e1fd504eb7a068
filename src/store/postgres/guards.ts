import { type Kysely, type RawBuilder, sql } from 'kysely';
import { ARCHIVE_SAID, EVALUATIONS_DELETED, INPUT_ARCHIVED, INPUT_ERASED } from '../archive-guards.ts';

/*
 * What the database refuses, whoever asks: changes of evidence, and gaps in the log.
 */

/** The tables of evidence. The text is the condition over `old` under which a row may be deleted. */
export const APPEND_ONLY: Readonly<Record<string, string | null>> = {
  archived_inputs: INPUT_ERASED,
  archives: null,
  built_bundles: null,
  bundle_sources: null,
  erasures: null,
  evaluations: EVALUATIONS_DELETED,
  flag_state_versions: null,
  flag_versions: null,
  leaves: null,
  log_tiles: null,
  policy_activations: null,
  policy_bundles: null,
  policy_reports: null,
  pseudonyms: 'exists (select 1 from erasures where erasures.pseudonym = old.pseudonym)',
  record_details: 'exists (select 1 from erasures where erasures.place = old.place)',
  record_flags: null,
};

/** Those of them whose rows may be updated, with the condition over `old` and `new`. */
export const CHANGEABLE: Readonly<Record<string, string>> = { record_details: INPUT_ARCHIVED };

/** Those into which not every row may be inserted, with the condition over `new`. */
const INSERTABLE: Readonly<Record<string, string>> = { archives: ARCHIVE_SAID };

/** The tables whose rows are numbered from 1 without a gap, by that column. */
const NUMBERED = { leaves: 'place', policy_activations: 'number' };

/** Creates the triggers. */
export async function guardTables(db: Kysely<unknown>): Promise<void> {
  const { rows } = await sql<{ schema: string }>`select current_schema() as schema`.execute(db);
  // Otherwise whoever writes could show the functions other tables, such as temporary ones of the same names.
  const bound = sql`language plpgsql set search_path = pg_catalog, ${sql.id(rows[0]?.schema ?? 'public')}, pg_temp`;
  await sql`create function refuse_change() returns trigger ${bound} as $$
    begin raise exception '% is append-only', tg_table_name using errcode = 'restrict_violation'; end $$`.execute(
    db,
  );
  for (const [table, erasable] of Object.entries(APPEND_ONLY))
    await refuseChanges(db, { table, erasable, bound });
  for (const [table, column] of Object.entries(NUMBERED)) await refuseGaps(db, { table, column, bound });
  await proveErasures(db, bound);
}

/**
 * What permits a deletion has to be in the log: the record that an erasure names says that it erases this, and is there before.
 * Tried once a statement, because each try reads the whole record. A record that is too large has digests in place of its lists.
 */
async function proveErasures(db: Kysely<unknown>, bound: RawBuilder<unknown>): Promise<void> {
  await sql`create function erasures_prove() returns trigger ${bound} as $$ declare unproved bigint; begin
      with named as materialized (
        select leaves.place as erased_by, list, leaf::json -> 'erases' -> list as items
        from leaves, (values ('places'), ('pseudonyms')) as lists (list)
        where leaves.place in (select fresh.erased_by from fresh)
      ), wanted as (
        select erased_by, 'places' as list, place::text as item from fresh where place is not null or pseudonym is null
        union all select erased_by, 'pseudonyms', pseudonym from fresh where pseudonym is not null
      )
      select missing.erased_by into unproved from (
        select erased_by, list, item from wanted
        except select erased_by, list, item from named, lateral json_array_elements_text(
          case json_typeof(items) when 'array' then items else '[]' end) as item
      ) as missing
      where not exists (select from named where named.erased_by = missing.erased_by and named.list = missing.list
        and json_typeof(named.items) = 'object')
      limit 1;
      if not found then return null; end if;
      raise exception 'no record at place % erases this', unproved using errcode = 'restrict_violation';
    end $$`.execute(db);
  await sql`create trigger erasures_prove after insert on erasures referencing new table as fresh
    for each statement execute function erasures_prove()`.execute(db);
}

async function refuseChanges(
  db: Kysely<unknown>,
  { table, erasable, bound }: { table: string; erasable: string | null; bound: RawBuilder<unknown> },
): Promise<void> {
  const on = sql.id(table);
  await sql`create trigger ${sql.id(`${table}_refuse_truncate`)} before truncate on ${on}
    for each statement execute function refuse_change()`.execute(db);
  await refuseRows(db, { table, task: 'update', unless: CHANGEABLE[table], bound });
  await refuseRows(db, { table, task: 'delete', unless: erasable ?? undefined, bound });
  const insertable = INSERTABLE[table];
  if (insertable !== undefined) await refuseRows(db, { table, task: 'insert', unless: insertable, bound });
}

/** Refuses what a task does to rows, unless a condition is true. */
async function refuseRows(
  db: Kysely<unknown>,
  {
    table,
    task,
    unless,
    bound,
  }: {
    table: string;
    task: 'insert' | 'update' | 'delete';
    unless: string | undefined;
    bound: RawBuilder<unknown>;
  },
): Promise<void> {
  const [on, trigger] = [sql.id(table), sql.id(`${table}_refuse_${task}`)];
  const before = sql`create trigger ${trigger} before ${sql.raw(task)} on ${on} for each row execute function`;
  if (unless === undefined) {
    await sql`${before} refuse_change()`.execute(db);
    return;
  }
  await sql`create function ${trigger}() returns trigger ${bound} as $$ begin
      if ${sql.raw(unless)} then return ${sql.raw(task === 'delete' ? 'old' : 'new')}; end if;
      raise exception '% is append-only', tg_table_name using errcode = 'restrict_violation';
    end $$`.execute(db);
  await sql`${before} ${trigger}()`.execute(db);
}

async function refuseGaps(
  db: Kysely<unknown>,
  { table, column, bound }: { table: string; column: string; bound: RawBuilder<unknown> },
): Promise<void> {
  const [on, place, trigger] = [sql.id(table), sql.id(column), sql.id(`${table}_refuse_gap`)];
  await sql`create function ${trigger}() returns trigger ${bound} as $$ begin
      if new.${place} = (select coalesce(max(${place}), 0) + 1 from ${on}) then return new; end if;
      raise exception '% is append-only, and without gaps', tg_table_name using errcode = 'restrict_violation';
    end $$`.execute(db);
  await sql`create trigger ${trigger} before insert on ${on}
    for each row execute function ${trigger}()`.execute(db);
}
