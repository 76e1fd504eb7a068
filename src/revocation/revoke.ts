import type { WriteContext } from '../decide/control.ts';
import { revokeKey } from '../keys/rotation.ts';
import { listDemanded, makeDue, voidVote } from '../store/requests.ts';
import type { RevocationsTable, SigningKeysTable } from '../store/schema.ts';
import { endBrowserSession } from '../store/sessions.ts';
import { addRevocation, type RevocationOrder } from './add.ts';
import { type Consequences, loadConsequences } from './hits.ts';
import { liftRevocations } from './lift.ts';
import { listOfSubject } from './of-subject.ts';

/** A revocation, and its consequences. */
export interface RevocationResult {
  row: RevocationsTable;
  consequences: Consequences;
}

/** The dependencies of a revocation besides the write. */
export interface RevokeOptions {
  /** For a key: its replacement, if it was the active key. */
  fresh?: SigningKeysTable | null;
}

/**
 * Adds a revocation and carries out its consequences in the same write: the sessions that it hits end, approvals on open
 * requests become void, the requests of its subject are parked, a key retires. The decision that allows it MUST be
 * recorded in the same write.
 *
 * @param order.value in canonical form: a person by their one name under the policy of this write
 */
export async function revoke(
  writing: WriteContext,
  order: RevocationOrder,
  { fresh = null }: RevokeOptions = {},
): Promise<RevocationResult> {
  const { tx, now_ms, policy, revocations } = writing;
  const earlier = isLogout(order)
    ? await listOfSubject(tx, policy, { value: order.value, cause: 'logout' })
    : [];
  const row = await addRevocation(writing, order);
  await liftRevocations(
    writing,
    earlier.filter((logout) => isCoveredBy(logout, row)).map(({ id }) => id),
    { superseded_by: row.id },
  );
  if (row.kind === 'key') {
    if (fresh === null) throw new Error('cannot revoke a key without a prepared replacement');
    await revokeKey(writing, row.value, fresh);
  }
  const consequences = await loadConsequences(tx, row, { revocations, now_ms });
  const { sessions, requests, approvals } = consequences;
  for (const { id } of sessions) await endBrowserSession(tx, id, { ended_ms: now_ms, end_reason: 'revoked' });
  for (const { request, person } of approvals)
    await voidVote(tx, { request_id: request, person, voided_ms: now_ms });
  // A demand of a revoked person is void, which the next decision finds.
  const due = [...requests.map(({ id }) => id), ...approvals.map(({ request }) => request)];
  await makeDue(tx, [...due, ...(await listDemanded(tx))], now_ms);
  return { row, consequences };
}

/** The newest logout of a subject covers the earlier ones. */
function isLogout({ kind, cause, issued_before_ms }: RevocationOrder): boolean {
  return kind === 'subject' && cause === 'logout' && issued_before_ms !== null;
}

function isCoveredBy(earlier: RevocationsTable, later: RevocationsTable): boolean {
  return (earlier.issued_before_ms ?? 0) <= (later.issued_before_ms ?? 0);
}
