import { afterAll } from './id-range.ts';
import { findMeta, setMeta } from './installation.ts';
import { OPEN_STATES } from './request-states.ts';
import type { RevocationsTable } from './schema.ts';
import { type Db, statement, type Tx } from './statement.ts';

/** Changes with every revocation and every lift, so that a cached list can be checked for staleness. */
export const REVOCATION_EPOCH = 'revocation_epoch';

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

/** The epoch of the list of revocations in the state that `db` sees; null if there never was a revocation. */
export function revocationEpoch(db: Db): Promise<string | null> {
  return findMeta(db, REVOCATION_EPOCH);
}

/** The active revocations, oldest first. */
export function listActiveRevocations(db: Db): Promise<RevocationsTable[]> {
  return db
    .selectFrom('revocations')
    .selectAll()
    .where('lifted_ms', 'is', null)
    .orderBy('created_ms')
    .orderBy('id')
    .execute();
}

/** Revocations, newest first, including lifted ones, only those before `beforeId`. */
export function listRevocations(
  db: Db,
  options: {
    active: boolean;
    kind: string | undefined;
    /** The beginning of the id. */
    id: string | undefined;
    beforeId: string | null;
    limit: number;
  },
): Promise<RevocationsTable[]> {
  let query = db.selectFrom('revocations').selectAll();
  if (options.active) query = query.where('lifted_ms', 'is', null);
  if (options.kind !== undefined) query = query.where('kind', '=', options.kind);
  const { id } = options;
  if (id !== undefined) query = query.where('id', '>=', id).where('id', '<', afterAll(id));
  if (options.beforeId !== null) query = query.where('id', '<', options.beforeId);
  return query.orderBy('id', 'desc').limit(options.limit).execute();
}

/** The active revocations of subjects with one cause. */
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

/** Adds a revocation. Its id is the list's new epoch: it is never reused, even if this write is rolled back. */
export async function insertRevocation(tx: Tx, row: RevocationsTable): Promise<void> {
  await insertStatement(tx, row);
  await setMeta(tx, REVOCATION_EPOCH, row.id);
}

/**
 * Lifts an active revocation.
 *
 * @param lift.epoch a new id, as the list's new epoch
 * @returns false if it is no longer active
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
  await setMeta(tx, REVOCATION_EPOCH, lift.epoch);
  return true;
}

/**
 * Marks that a logged-out person has returned.
 *
 * @param back.epoch a new id, as the list's new epoch
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
  await setMeta(tx, REVOCATION_EPOCH, back.epoch);
}

/**
 * Deletes revocations without effect: what they revoke has expired. A logout from which the person has not returned still
 * parks their requests, and is kept. So is what was revoked in an incident while a request is open that was written before.
 * The evidence is the record.
 */
export async function forgetRevocations(tx: Tx, expiredBeforeMs: number): Promise<void> {
  await tx
    .deleteFrom('revocations')
    .where('expires_ms', '<', expiredBeforeMs)
    .where((e) =>
      e.or([e('kind', '!=', 'subject'), e('cause', '!=', 'logout'), e('returned_ms', 'is not', null)]),
    )
    .where((e) =>
      e.or([
        e('cause', '!=', 'incident'),
        e.not(
          e.exists(
            e
              .selectFrom('requests')
              .select('requests.id')
              .where('requests.state', 'in', OPEN_STATES)
              .whereRef('requests.created_ms', '<=', 'revocations.created_ms'),
          ),
        ),
      ]),
    )
    .execute();
}
