import type { Proof } from '../identity/credential.ts';
import { schemeOf, TokenRefused, tokenInvalid } from '../identity/refusal.ts';
import type { Revocation } from '../identity/revocations.ts';
import { personNames } from '../policy/persons.ts';
import { batchOf, momentOf } from '../store/batch.ts';
import type { AfterCommit } from '../store/batch-transaction.ts';
import { claimToken } from '../store/installation.ts';
import type { WriteLane } from '../store/preparations.ts';
import { markReturned } from '../store/revocations.ts';
import type { Db, Tx } from '../store/statement.ts';
import { HELD_BY_PARKING, wake } from '../store/wakes.ts';
import { authorize } from './authorize.ts';
import type { Call, ControlDeps, WriteContext } from './control.ts';
import { Refused } from './refused.ts';
import type { RevocationChecks } from './revocations.ts';

/** Proofs that the current request has already claimed. Further writes of the same request may reuse theirs. */
const usedProofs = new WeakSet<Proof>();

/** The last record of each call that wrote one. */
const lastRecords = new WeakMap<Call, { place: number; epoch: number }>();

/** The place of the last record that a call wrote, with the epoch of the log; undefined if it wrote none. */
export function lastRecordOf(call: Call): { place: number; epoch: number } | undefined {
  return lastRecords.get(call);
}

/**
 * Runs one use case in the writing transaction.
 *
 * Checks the caller again in the state that this write sees. A caller who was revoked since authentication is refused,
 * and so is a reused proof.
 *
 * A {@link Refused} that `work` *returns* was decided: its record is committed, then it is thrown as an error. An error
 * that `work` *throws* (a malformed change, an unknown id) rolls everything back.
 *
 * @param lane an emergency goes before every other write that waits, and scheduled ones go behind ordinary ones
 * @throws BrokerError `clock_behind` if the clock is too far behind the last record
 */
export async function write<T>(
  deps: ControlDeps,
  call: Call,
  work: (writing: WriteContext) => Promise<T | Refused>,
  lane: WriteLane = 'ordinary',
): Promise<T> {
  const result = await deps.store.writer.write(async (tx, afterCommit) => {
    const { size } = batchOf(tx).head;
    const policy = await deps.policies.activeIn(tx, afterCommit);
    const revocations = deps.revocations.under(personNames(policy));
    const logouts = await assertStillValid(revocations, tx, call, afterCommit);
    const writing: WriteContext = { deps, tx, call, now_ms: momentOf(tx), policy, revocations, afterCommit };
    if (logouts.length > 0) await noteReturn(writing, logouts);
    const answer = await work(writing);
    const { head } = batchOf(tx);
    if (head.size > size) afterCommit(() => lastRecords.set(call, { place: head.size, epoch: head.epoch }));
    return answer;
  }, lane);
  if (result instanceof Refused) throw result.toError();
  return result;
}

/** @returns the logouts that the caller has returned from @throws BrokerError `token_invalid` */
async function assertStillValid(
  revocations: RevocationChecks<Db>,
  tx: Tx,
  call: Call,
  afterCommit: AfterCommit,
): Promise<readonly Revocation[]> {
  const { principal, credential } = call;
  if (credential === null) return [];
  const { hit, ended } = await revocations.look(tx, { principal, credential });
  if (hit !== null) throw tokenInvalid(new TokenRefused('revoked', hit.kind), schemeOf(credential));
  const { proof } = credential;
  if (proof === null || usedProofs.has(proof)) return ended;
  const isFirstUse = await claimToken(tx, {
    issuer: `dpop:${proof.jkt}`,
    jti: proof.jti,
    expires_ms: proof.expires_ms,
  });
  if (!isFirstUse) throw tokenInvalid(new TokenRefused('proof_not_accepted', 'replayed'));
  afterCommit(() => usedProofs.add(proof));
  return ended;
}

/** The caller returned with a credential issued after a provider logout, so their requests no longer wait. */
async function noteReturn(writing: WriteContext, logouts: readonly Revocation[]): Promise<void> {
  const { deps, tx, now_ms } = writing;
  const ids = logouts.map(({ id }) => id);
  const note = { code: 'returned', detail: `Signed in again after logout ${ids.join(', ')}.` };
  const authorized = await authorize(writing, { operation: 'session.return', note });
  if (authorized instanceof Refused) return;
  for (const id of ids) await markReturned(tx, id, { epoch: deps.newId(now_ms), returned_ms: now_ms });
  await wake(tx, deps.newId(now_ms), HELD_BY_PARKING);
  writing.afterCommit(deps.events.revocationsChanged);
}
