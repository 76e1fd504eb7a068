import { isAmong, isInArray } from './dialect.ts';
import type { GrantUsesTable, PrincipalsTable } from './schema.ts';
import { type Db, settledStatement, statement, type Tx } from './statement.ts';

/** The value for an operation that names no environment, or no namespace. */
export const ANY_PLACE = '*';

const upsertPrincipalStatement = statement<PrincipalsTable>((db, p) =>
  db
    .insertInto('principals')
    .values({
      id: p('id'),
      kind: p('kind'),
      person: p('person'),
      issuer: p('issuer'),
      principal: p('principal'),
      first_seen_ms: p('first_seen_ms'),
      last_seen_ms: p('last_seen_ms'),
    })
    .onConflict((conflict) =>
      conflict.column('id').doUpdateSet((e) => ({
        person: e.ref('excluded.person'),
        issuer: e.ref('excluded.issuer'),
        principal: e.ref('excluded.principal'),
        last_seen_ms: e.ref('excluded.last_seen_ms'),
      })),
    ),
);
const updatePrincipalStatement = statement<PrincipalsTable>((db, p) =>
  db
    .updateTable('principals')
    .set({
      person: p('person'),
      issuer: p('issuer'),
      principal: p('principal'),
      last_seen_ms: p('last_seen_ms'),
    })
    .where('id', '=', p('id')),
);
const upsertGrantUseStatement = statement<GrantUsesTable>((db, p) =>
  db
    .insertInto('grant_uses')
    .values({
      principal_id: p('principal_id'),
      capability: p('capability'),
      environment: p('environment'),
      namespace: p('namespace'),
      last_ms: p('last_ms'),
    })
    .onConflict((conflict) =>
      conflict
        .columns(['principal_id', 'capability', 'environment', 'namespace'])
        .doUpdateSet((e) => ({ last_ms: e.ref('excluded.last_ms') })),
    ),
);

/** Stores a principal as last seen; the time of the first sighting is kept. */
export async function upsertPrincipal(tx: Tx, row: PrincipalsTable): Promise<void> {
  await upsertPrincipalStatement(tx, row);
}

/** Stores a principal as last seen, if it is known. */
export async function updatePrincipal(tx: Tx, row: PrincipalsTable): Promise<void> {
  await updatePrincipalStatement(tx, row);
}

/** Stores when a capability was last used. */
export async function upsertGrantUse(tx: Tx, row: GrantUsesTable): Promise<void> {
  await upsertGrantUseStatement(tx, row);
}

const findStatement = settledStatement<{ id: string }, PrincipalsTable>('principals', (db, p) =>
  db.selectFrom('principals').selectAll().where('id', '=', p('id')),
);

/** One principal as last seen, or undefined. */
export async function findPrincipal(db: Db, id: string): Promise<PrincipalsTable | undefined> {
  return (await findStatement(db, { id })).rows[0];
}

const findAllStatement = settledStatement<{ ids: string }, PrincipalsTable>('principals', (db, p) =>
  db
    .selectFrom('principals')
    .selectAll()
    .where(isInArray(db, 'id', p('ids'))),
);

/** These principals as last seen, by id; those that are known. */
export async function findPrincipals(db: Db, ids: readonly string[]): Promise<Map<string, PrincipalsTable>> {
  const { rows } = await findAllStatement(db, { ids: JSON.stringify([...new Set(ids)].sort()) });
  return new Map(rows.map((row) => [row.id, row]));
}

/** The account of a person at an issuer that was last seen, or undefined. */
export async function findNewestOfPerson(
  db: Db,
  of: { person: string | null; issuer: string },
): Promise<PrincipalsTable | undefined> {
  if (of.person === null) return undefined;
  return db
    .selectFrom('principals')
    .selectAll()
    .where('kind', '=', 'person')
    .where('person', '=', of.person)
    .where('issuer', '=', of.issuer)
    .orderBy('last_seen_ms', 'desc')
    .limit(1)
    .executeTakeFirst();
}

/** The ids of the accounts of a person, by their names. */
export async function listAccountsOf(db: Db, persons: readonly string[]): Promise<string[]> {
  const rows = await db
    .selectFrom('principals')
    .select('id')
    .where('kind', '=', 'person')
    .where(isAmong(db, 'person', persons))
    .orderBy('id')
    .execute();
  return rows.map(({ id }) => id);
}

/** All principals ever seen, by id. */
export function listPrincipals(db: Db): Promise<PrincipalsTable[]> {
  return db.selectFrom('principals').selectAll().orderBy('id').execute();
}

/** When each principal last used each capability. */
export function listGrantUses(db: Db): Promise<GrantUsesTable[]> {
  return db.selectFrom('grant_uses').selectAll().execute();
}
