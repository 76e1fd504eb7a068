import { randomBytes } from 'node:crypto';
import { batchOf } from './batch.ts';
import { isAmong } from './dialect.ts';
import type { PseudonymsTable } from './schema-log.ts';
import { type Db, statement, type Tx } from './statement.ts';

/** Bounds the cache; pseudonyms outside it are read from the table. */
const MAX_REMEMBERED = 10_000;

const findStatement = statement<Pick<PseudonymsTable, 'kind' | 'name'>, { pseudonym: string }>((db, p) =>
  db.selectFrom('pseudonyms').select('pseudonym').where('kind', '=', p('kind')).where('name', '=', p('name')),
);
const insertStatement = statement<PseudonymsTable>((db, p) =>
  db.insertInto('pseudonyms').values({ kind: p('kind'), name: p('name'), pseudonym: p('pseudonym') }),
);

/** The pseudonym of a principal or a person in leaves, or undefined if there is none, or it was erased. */
export async function findPseudonym(
  db: Db,
  kind: PseudonymsTable['kind'],
  name: string,
): Promise<string | undefined> {
  return (await findStatement(db, { kind, name })).rows[0]?.pseudonym;
}

/** What a pseudonym stands for, or undefined if there is none, or it was erased. */
export function findPseudonymRow(db: Db, pseudonym: string): Promise<PseudonymsTable | undefined> {
  return db.selectFrom('pseudonyms').selectAll().where('pseudonym', '=', pseudonym).executeTakeFirst();
}

/** The pseudonyms of these names. */
export function listPseudonymsOf(
  db: Db,
  kind: PseudonymsTable['kind'],
  names: readonly string[],
): Promise<PseudonymsTable[]> {
  return db
    .selectFrom('pseudonyms')
    .selectAll()
    .where('kind', '=', kind)
    .where(isAmong(db, 'name', names))
    .orderBy('name')
    .execute();
}

/**
 * The pseudonym of a principal or a person in leaves: 16 random bytes, created by the first write that needs them. They
 * do not depend on the name, so deleting the row of this table erases the name.
 */
export async function pseudonymOf(tx: Tx, kind: PseudonymsTable['kind'], name: string): Promise<string> {
  const { pseudonyms, afterCommit } = batchOf(tx);
  const key = `${kind} ${name}`;
  const known = pseudonyms.get(key);
  if (known !== undefined) return known;
  const found = await findPseudonym(tx, kind, name);
  const pseudonym = found ?? randomBytes(16).toString('base64url');
  if (found === undefined) await insertStatement(tx, { kind, name, pseudonym });
  // Cached only after the commit: the write that creates it may still be rolled back.
  afterCommit(() => {
    if (pseudonyms.size >= MAX_REMEMBERED) pseudonyms.clear();
    pseudonyms.set(key, pseudonym);
  });
  return pseudonym;
}
