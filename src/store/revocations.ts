import { findMeta, setMeta } from './installation.ts';
import type { RevocationsTable } from './schema.ts';
import { type Db, statement, type Tx } from './statement.ts';

/** Changes with every revocation and every lift, so that a list in memory is known to be the present one. */
const EPOCH = 'revocation_epoch';

const insertStatement = statement<RevocationsTable>((db, p) =>
  db.insertInto('revocations').values({
    id: p('id'),
    kind: p('kind'),
    value: p('value'),
    issued_before_ms: p('issued_before_ms'),
    cause: p('cause'),
    incident: p('incident'),
    reason: p('reason'),
    created_by: p('created_by'),
    created_ms: p('created_ms'),
    expires_ms: p('expires_ms'),
    lifted_ms: p('lifted_ms'),
    lifted_by: p('lifted_by'),
    person: p('person'),
    returned_ms: p('returned_ms'),
    person_state: p('person_state'),
  }),
);

/** What the state that `db` sees calls its list of revocations; null when there never was one. */
export function revocationEpoch(db: Db): Promise<string | null> {
  return findMeta(db, EPOCH);
}

/** The revocations that hold, oldest first. */
export function listActiveRevocations(db: Db): Promise<RevocationsTable[]> {
  return db
    .selectFrom('revocations')
    .selectAll()
    .where('lifted_ms', 'is', null)
    .orderBy('created_ms')
    .orderBy('id')
    .execute();
}

/** Revocations newest first, lifted ones too, those before `beforeId` only. */
export function listRevocations(
  db: Db,
  options: { active: boolean; kind: string | undefined; beforeId: string | null; limit: number },
): Promise<RevocationsTable[]> {
  let query = db.selectFrom('revocations').selectAll();
  if (options.active) query = query.where('lifted_ms', 'is', null);
  if (options.kind !== undefined) query = query.where('kind', '=', options.kind);
  if (options.beforeId !== null) query = query.where('id', '<', options.beforeId);
  return query.orderBy('id', 'desc').limit(options.limit).execute();
}

/** The revocations of subjects that hold and came by one road. */
export function listActiveOfSubjects(db: Db, cause: string): Promise<RevocationsTable[]> {
  return db
    .selectFrom('revocations')
    .selectAll()
    .where('kind', '=', 'subject')
    .where('cause', '=', cause)
    .where('lifted_ms', 'is', null)
    .execute();
}

/** One revocation, or undefined. */
export function findRevocation(db: Db, id: string): Promise<RevocationsTable | undefined> {
  return db.selectFrom('revocations').selectAll().where('id', '=', id).executeTakeFirst();
}

/** Adds a revocation. The id is the list's new name: it is never given twice, not even when this write is undone. */
export async function insertRevocation(tx: Tx, row: RevocationsTable): Promise<void> {
  await insertStatement(tx, row);
  await setMeta(tx, EPOCH, row.id);
}

/**
 * Lifts a revocation that holds.
 *
 * @param lift.epoch a new id, as the list's new name
 * @returns false when it does not hold any more
 */
export async function liftRevocation(
  tx: Tx,
  id: string,
  lift: { epoch: string; lifted_ms: number; lifted_by: string },
): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('revocations')
    .set({ lifted_ms: lift.lifted_ms, lifted_by: lift.lifted_by })
    .where('id', '=', id)
    .where('lifted_ms', 'is', null)
    .executeTakeFirst();
  if (numUpdatedRows !== 1n) return false;
  await setMeta(tx, EPOCH, lift.epoch);
  return true;
}

/**
 * Notes that who was logged out is back.
 *
 * @param back.epoch a new id, as the list's new name
 */
export async function markReturned(
  tx: Tx,
  id: string,
  back: { epoch: string; returned_ms: number },
): Promise<void> {
  await tx
    .updateTable('revocations')
    .set({ returned_ms: back.returned_ms })
    .where('id', '=', id)
    .where('returned_ms', 'is', null)
    .execute();
  await setMeta(tx, EPOCH, back.epoch);
}

/**
 * Forgets what revokes nothing any more: what it named has expired. A logout that somebody has not come back from still
 * holds their requests. The evidence is the record.
 */
export async function forgetRevocations(tx: Tx, expiredBeforeMs: number): Promise<void> {
  await tx
    .deleteFrom('revocations')
    .where('expires_ms', '<', expiredBeforeMs)
    .where((e) =>
      e.or([e('kind', '!=', 'subject'), e('cause', '!=', 'logout'), e('returned_ms', 'is not', null)]),
    )
    .execute();
}
