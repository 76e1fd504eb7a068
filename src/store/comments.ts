import { isAmong } from './dialect.ts';
import type { CommentsTable } from './schema.ts';
import type { Db, Tx } from './statement.ts';

/*
 * What people say about requests. It is no evidence: the record of each comment is. A text is taken away when it is
 * withdrawn, and when its author is erased.
 */

/** Stores a comment. */
export async function insertComment(tx: Tx, row: CommentsTable): Promise<void> {
  await tx.insertInto('comments').values(row).execute();
}

/** One comment on a request, or undefined. */
export function findComment(
  db: Db,
  { id, request_id }: Pick<CommentsTable, 'id' | 'request_id'>,
): Promise<CommentsTable | undefined> {
  return db
    .selectFrom('comments')
    .selectAll()
    .where('id', '=', id)
    .where('request_id', '=', request_id)
    .executeTakeFirst();
}

/** The next comments on a request after one, oldest first. */
export function listComments(
  db: Db,
  { request_id, after, limit }: { request_id: string; after: string; limit: number },
): Promise<CommentsTable[]> {
  return db
    .selectFrom('comments')
    .selectAll()
    .where('request_id', '=', request_id)
    .where('id', '>', after)
    .orderBy('id')
    .limit(limit)
    .execute();
}

/** The number of comments on a request, and of those by one principal since a time. */
export async function countComments(
  db: Db,
  { request_id, principal_id, sinceMs }: { request_id: string; principal_id: string; sinceMs: number },
): Promise<{ all: number; recent: number }> {
  const rows = await db
    .selectFrom('comments')
    .select(['principal_id', 'at_ms'])
    .where('request_id', '=', request_id)
    .execute();
  const recent = rows.filter((row) => row.principal_id === principal_id && row.at_ms > sinceMs);
  return { all: rows.length, recent: recent.length };
}

/** Takes the text of a comment away. */
export async function withdrawComment(tx: Tx, id: string, withdrawnMs: number): Promise<void> {
  await tx
    .updateTable('comments')
    .set({ said: null, withdrawn_ms: withdrawnMs })
    .where('id', '=', id)
    .execute();
}

/** Takes the texts of a person's comments away. */
export async function eraseComments(
  tx: Tx,
  { persons, accounts }: { persons: readonly string[]; accounts: readonly string[] },
): Promise<void> {
  await tx
    .updateTable('comments')
    .set({ said: null })
    .where(isAmong(tx, 'principal_id', accounts))
    .execute();
  await tx
    .updateTable('comments')
    .set({ said: null })
    .where(isAmong(tx, 'person', persons))
    .execute();
}
