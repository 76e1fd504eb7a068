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
 * What permits a deletion has to be in the log: the record that an erasure names says that it erases this. Tried at the end of the
 * transaction, by when the record is there. A record that is too large has digests in place of its lists.
 */
async function proveErasures(db: Kysely<unknown>, bound: RawBuilder<unknown>): Promise<void> {
  await sql`create function erasures_prove() returns trigger ${bound} as $$ begin
      if exists (
        select from leaves, lateral (
          select leaf::json -> 'erases' -> case when new.place is null then 'pseudonyms' else 'places' end
        ) as named (list)
        where leaves.place = new.erased_by and (json_typeof(list) = 'object'
          or list::jsonb @> coalesce(to_jsonb(new.place), to_jsonb(new.pseudonym)))
      ) then return null; end if;
      raise exception 'no record at place % erases this', new.erased_by using errcode = 'restrict_violation';
    end $$`.execute(db);
  await sql`create constraint trigger erasures_prove after insert on erasures deferrable initially deferred
    for each row execute function erasures_prove()`.execute(db);
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
