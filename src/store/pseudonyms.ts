import { randomBytes } from 'node:crypto';
import { batchOf } from './batch.ts';
import type { PseudonymsTable } from './schema-log.ts';
import { type Db, statement, type Tx } from './statement.ts';

/** So that strangers cannot fill the memory; what is not in it is read from the table. */
const MAX_REMEMBERED = 10_000;

const findStatement = statement<Pick<PseudonymsTable, 'kind' | 'name'>, { pseudonym: string }>((db, p) =>
  db.selectFrom('pseudonyms').select('pseudonym').where('kind', '=', p('kind')).where('name', '=', p('name')),
);
const insertStatement = statement<PseudonymsTable>((db, p) =>
  db.insertInto('pseudonyms').values({ kind: p('kind'), name: p('name'), pseudonym: p('pseudonym') }),
);

/** How leaves call a principal or a person, or undefined when none does (any more). */
export async function findPseudonym(
  db: Db,
  kind: PseudonymsTable['kind'],
  name: string,
): Promise<string | undefined> {
  return (await findStatement(db, { kind, name })).rows[0]?.pseudonym;
}

/**
 * How leaves call a principal or a person: 16 random bytes, made in the write that first needs them. They say nothing
 * of the name, so that with the row of this table the name is gone.
 */
export async function pseudonymOf(tx: Tx, kind: PseudonymsTable['kind'], name: string): Promise<string> {
  const { pseudonyms, afterCommit } = batchOf(tx);
  const key = `${kind} ${name}`;
  const known = pseudonyms.get(key);
  if (known !== undefined) return known;
  const found = await findPseudonym(tx, kind, name);
  const pseudonym = found ?? randomBytes(16).toString('base64url');
  if (found === undefined) await insertStatement(tx, { kind, name, pseudonym });
  // Only then: the write that makes it may yet be undone.
  afterCommit(() => {
    if (pseudonyms.size >= MAX_REMEMBERED) pseudonyms.clear();
    pseudonyms.set(key, pseudonym);
  });
  return pseudonym;
}
