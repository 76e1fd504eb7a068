import type { WriteContext } from '../decide/control.ts';
import { revokeKey } from '../keys/rotation.ts';
import { voidVote, wakeRequests } from '../store/requests.ts';
import type { RevocationsTable, SigningKeysTable } from '../store/schema.ts';
import { endBrowserSession } from '../store/sessions.ts';
import { addRevocation, type RevocationOrder } from './add.ts';
import { type Consequences, loadConsequences } from './hits.ts';
import { liftRevocations } from './lift.ts';
import { listOfSubject } from './of-subject.ts';

/** A revocation, and what followed from it when it was made. */
export interface RevocationResult {
  row: RevocationsTable;
  consequences: Consequences;
}

/** What revoking needs besides the write. */
export interface RevokeOptions {
  /** For a key: the one that takes its place if it was the active one. */
  fresh?: SigningKeysTable | null;
}

/**
 * Revokes, with everything that follows from it in the same write: the sessions that it hits end, approvals on open
 * requests become void, what its subject wrote waits, a key retires. The decision that allows it MUST be recorded in the
 * same write.
 *
 * @param order.value in the form that callers are held against: a person by their one name under the policy of this write
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
    if (fresh === null) throw new Error('a key was to be revoked without another one at hand');
    await revokeKey(writing, row.value, fresh);
  }
  const consequences = await loadConsequences(tx, row, { revocations, now_ms });
  const { sessions, requests, approvals } = consequences;
  for (const { id } of sessions) await endBrowserSession(tx, id, { ended_ms: now_ms, end_reason: 'revoked' });
  for (const { request, person } of approvals)
    await voidVote(tx, { request_id: request, person, voided_ms: now_ms });
  if (requests.length > 0 || approvals.length > 0) await wakeRequests(tx, now_ms);
  return { row, consequences };
}

/** The newest logout of a subject covers all that the earlier ones did. */
function isLogout({ kind, cause, issued_before_ms }: RevocationOrder): boolean {
  return kind === 'subject' && cause === 'logout' && issued_before_ms !== null;
}

function isCoveredBy(earlier: RevocationsTable, later: RevocationsTable): boolean {
  return (earlier.issued_before_ms ?? 0) <= (later.issued_before_ms ?? 0);
}
