import { type Kysely, sql } from 'kysely';
import type { Schema } from '../schema.ts';
import { TABLE_NAMES } from '../tables.ts';
import { APPEND_ONLY, CHANGEABLE } from './guards.ts';

/*
 * What the role of a broker may do. It owns no table, so it cannot alter one, empty it, or take away a trigger; and it has
 * only the rights that a broker uses.
 */

type Right = 'select' | 'insert' | 'update' | 'delete';

/** The tables that only this engine has. The history of the schema is read at each start. */
const OWN: Readonly<Record<string, readonly Right[]>> = {
  kysely_migration: ['select'],
  writers: ['select', 'insert', 'update', 'delete'],
};

/** Every table, with what a broker does there. */
export const RIGHTS: ReadonlyMap<string, readonly Right[]> = new Map([
  ...TABLE_NAMES.map((table) => [table, rightsOn(table)] as const),
  ...Object.entries(OWN),
]);

function rightsOn(table: string): readonly Right[] {
  if (table === 'log_head') return ['select', 'update'];
  const erasable = APPEND_ONLY[table];
  if (erasable === undefined) return ['select', 'insert', 'update', 'delete'];
  // Its triggers let only those rows go whose erasure is recorded, and only those change whose input was archived.
  const more = [
    ...(CHANGEABLE[table] === undefined ? [] : (['update'] as const)),
    ...(erasable === null ? [] : (['delete'] as const)),
  ];
  return ['select', 'insert', ...more];
}

/** A right that the role of this connection lacks. */
export interface MissingRight {
  role: string;
  table: string;
  right: Right;
}

/** The first right of a broker that the role lacks, or null. */
export async function findMissingRights(db: Kysely<Schema>): Promise<MissingRight | null> {
  const needed = [...RIGHTS].flatMap(([table, rights]) => rights.map((right) => sql`(${table}, ${right})`));
  const { rows } = await sql<MissingRight>`
    select current_user as role, needed.name as "table", needed.task as right
    from (values ${sql.join(needed)}) as needed (name, task)
    where not has_table_privilege(needed.name, needed.task) limit 1`.execute(db);
  return rows[0] ?? null;
}

/**
 * Whether a role `r` could drop the tables, as could whoever owns their schema or the database. Before there are tables, the
 * role of this connection is going to own them.
 */
const OWNS = sql<boolean>`(
  pg_has_role(r.oid, coalesce(
    (select relowner from pg_class where oid = to_regclass('log_head')),
    (select oid from pg_roles where rolname = current_user)
  ), 'member')
  or exists (select from pg_namespace n where n.nspname = current_schema() and pg_has_role(r.oid, n.nspowner, 'member'))
  or exists (select from pg_database d where d.datname = current_database() and pg_has_role(r.oid, d.datdba, 'member')))`;

/** @throws Error if there is no such role, or none that could be kept from anything */
export async function assertGrantable(db: Kysely<Schema>, role: string): Promise<void> {
  const { rows } = await sql<{ rolsuper: boolean; owns: boolean }>`
    select r.rolsuper, ${OWNS} as owns from pg_roles r where r.rolname = ${role}`.execute(db);
  const [found] = rows;
  if (found === undefined)
    throw new Error(
      `there is no role "${role}" on the server: create it, with  create role "${role}" login password '…'`,
    );
  if (found.rolsuper || found.owns)
    throw new Error(
      `the role "${role}" ${found.rolsuper ? 'is a superuser' : 'owns the tables, their schema or the database, or belongs to their owner'}, so nothing could be kept from it: create another one for the broker`,
    );
}

/**
 * Grants a role what a broker needs, and takes every other right on the tables from it.
 *
 * @throws Error if there is no such role, or none that could be kept from anything
 */
export async function grantTo(db: Kysely<Schema>, role: string): Promise<void> {
  await assertGrantable(db, role);
  const to = sql.id(role);
  await db.transaction().execute(async (tx) => {
    const { rows: schemas } = await sql<{ name: string }>`select current_schema() as name`.execute(tx);
    await sql`grant usage on schema ${sql.id(schemas[0]?.name ?? 'public')} to ${to}`.execute(tx);
    for (const [table, rights] of RIGHTS) {
      await sql`revoke all on table ${sql.id(table)} from ${to}`.execute(tx);
      await sql`grant ${sql.raw(rights.join(', '))} on table ${sql.id(table)} to ${to}`.execute(tx);
    }
  });
}

/**
 * The roles that were granted what a broker needs: new tables are for them, too. Those that have every right anyway, such as a
 * group of administrators, are none of them.
 */
export async function listGranted(db: Kysely<Schema>): Promise<string[]> {
  const { rows } = await sql<{ rolname: string }>`
    select distinct r.rolname from pg_class c, aclexplode(c.relacl) a join pg_roles r on r.oid = a.grantee
    where c.oid = 'log_head'::regclass and a.grantee <> c.relowner and a.privilege_type = 'UPDATE'
      and not r.rolsuper and not ${OWNS}
    order by 1`.execute(db);
  return rows.map(({ rolname }) => rolname);
}
