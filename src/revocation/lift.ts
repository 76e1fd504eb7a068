import type { Effect, WriteContext } from '../decide/control.ts';
import { liftRevocation } from '../store/revocations.ts';
import { HELD_BY_PARKING, wake } from '../store/wakes.ts';

/**
 * Lifts active revocations. After the commit of this write they refuse nobody, and the requests that waited because of
 * them are decided again. The decision that allows it MUST be recorded in the same write.
 *
 * @param liftedBy the principal or the change request; stored as JSON
 */
export async function liftRevocations(
  { tx, deps, now_ms, afterCommit }: WriteContext,
  ids: readonly string[],
  liftedBy: { id: string; person: string | null } | { request: string } | { superseded_by: string },
): Promise<void> {
  for (const id of ids) {
    const lift = { epoch: deps.newId(now_ms), lifted_ms: now_ms, lifted_by: JSON.stringify(liftedBy) };
    await liftRevocation(tx, id, lift);
  }
  if (ids.length === 0) return;
  await wake(tx, deps.newId(now_ms), HELD_BY_PARKING);
  afterCommit(deps.events.revocationsChanged);
}

/** The effect of a request that lifts a revocation. */
export function revocationLifted(id: string): Effect {
  return {
    carryOut: async (writing, { request_id }) => {
      await liftRevocations(writing, [id], { request: request_id });
      return {};
    },
  };
}
