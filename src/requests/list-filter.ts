import type { Call, ControlDeps } from '../decide/control.ts';
import { namedFlag } from '../decide/names.ts';
import { assertSeen } from '../decide/seen.ts';
import { listRequests, type VisibleRequests } from '../store/request-list.ts';
import { nearestOf, unknownName } from '../unknown-name.ts';

/** The newest requests whose proposers are compared with an unknown one. */
const COMPARED = 200;

/**
 * Checks the names that an empty list of requests was asked for: an empty list must not hide a misspelt name.
 *
 * @throws BrokerError `not_found` for a flag, or the proposer of a request, that the caller may not see
 */
export async function assertFilter(
  control: ControlDeps,
  call: Call,
  { flag, proposer, environment }: Partial<Record<'flag' | 'proposer' | 'environment', string | undefined>>,
  visible: readonly VisibleRequests[],
): Promise<void> {
  const { read } = control.store;
  const first = (filter: { flag?: string; proposer?: string }, limit: number) =>
    listRequests(read, { filter, visible, beforeId: null, limit });
  // What was not found so far may still be in what the next pages look at.
  const isFound = async (filter: { flag?: string; proposer?: string }) => {
    const { rows, next } = await first(filter, 1);
    return rows.length > 0 || next !== null;
  };
  if (flag !== undefined && !(await isFound({ flag }))) {
    const at = { environment: environment ?? null, pointer: '#/flag' };
    await assertSeen(control, call, await namedFlag(read, flag, at));
  }
  if (proposer === undefined || proposer === call.principal.id) return;
  if (await isFound({ proposer })) return;
  const proposers = (await first({}, COMPARED)).rows.map(({ proposer_id }) => proposer_id);
  const nearest = nearestOf(proposer, [...new Set(proposers)]);
  throw unknownName({ what: 'proposer', name: proposer, pointer: '#/proposer', nearest });
}
