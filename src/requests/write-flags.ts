import { type ChangedFlag, environmentsOf, type Writing } from '../decide/control.ts';
import { canonicalJson, digestOf } from '../json.ts';
import type { FlagMove } from '../log/append.ts';
import { liftRevocations } from '../revocation/lift.ts';
import { liftFreeze } from '../store/emergency.ts';
import { type Origin, raiseEnvironmentVersion, writeDefinition, writeState } from '../store/flags.ts';
import { wakeRequests } from '../store/requests.ts';
import type { FlagWrite, Plan } from './plan.ts';
import type { ChangeRequest, Planned } from './request.ts';

/**
 * The one door for flag state (design invariant 1): the only caller of the store's flag writers. It runs inside the
 * transaction in which the active policy has just said `allow` about exactly this plan, and in which the caller
 * appends that decision's record.
 *
 * @returns how each flag's versions moved, for the record
 * @throws Error when a version is not the one that the plan was made on; inside the writing transaction that cannot happen, and the
 *   write is undone
 */
export async function applyPlan(
  writing: Writing,
  { plan, request, decisionId }: { plan: Plan; request: ChangeRequest; decisionId: string },
): Promise<FlagMove[]> {
  const origin: Origin = { request_id: request.id, decision_id: decisionId, at_ms: writing.now_ms };
  if (plan.freeze !== null) {
    await liftFreeze(writing.tx, plan.freeze.id, { request_id: request.id, at_ms: writing.now_ms });
    // What the freeze held back is looked at again at once.
    await wakeRequests(writing.tx, writing.now_ms);
    writing.afterCommit(writing.deps.events.freezesChanged);
  }
  if (plan.revocation !== undefined)
    await liftRevocations(writing, [plan.revocation.id], { request: request.id });
  const moves: FlagMove[] = [];
  for (const write of plan.writes) moves.push(...(await writeFlag(writing, write, origin)));
  for (const environment of touchedEnvironments(writing, plan)) await announce(writing, plan, environment);
  return moves;
}

/** Raises the environment's version, and hands what changed to the data plane once it is durable. */
async function announce({ tx, deps, afterCommit }: Writing, plan: Plan, environment: string): Promise<void> {
  const version = await raiseEnvironmentVersion(tx, environment);
  const flags: ChangedFlag[] = [];
  for (const { served, states } of plan.writes) {
    const state = states.get(environment);
    // A definition changed and its state here did not: the data plane has that state, so it reads the flag again.
    if (state === undefined) flags.push({ definition: served, state: null, version: null });
    else flags.push({ definition: served, state: state.value, version: state.base + 1 });
  }
  afterCommit(() => deps.events.flagsChanged(environment, version, flags));
}

async function writeFlag({ tx }: Writing, write: FlagWrite, origin: Origin): Promise<FlagMove[]> {
  const { flag, definition, states } = write;
  const moves: FlagMove[] = [];
  if (definition !== null) {
    const version = definition.base + 1;
    const { namespace, retired } = definition.value;
    const row = {
      key: flag,
      namespace,
      version,
      retired: retired ? 1 : 0,
      definition: JSON.stringify(definition.value),
    };
    assertMoved(await writeDefinition(tx, row, origin), flag);
    const digest = digestOf(definition.value);
    moves.push({ flag, environment: null, version_before: definition.base, version_after: version, digest });
  }
  for (const [environment, { value, base }] of states) {
    const row = { flag, environment, version: base + 1, state: JSON.stringify(value) };
    assertMoved(await writeState(tx, row, origin), flag);
    const digest = digestOf(value);
    moves.push({ flag, environment, version_before: base, version_after: base + 1, digest });
  }
  return moves;
}

function assertMoved(moved: boolean, flag: string): void {
  if (!moved) throw new Error(`the version of ${flag} moved inside the writing transaction`);
}

/** A definition is the same in every environment, so all of them look different after it changed. */
function touchedEnvironments({ policy }: Writing, plan: Plan): string[] {
  if (plan.writes.some((write) => write.definition !== null)) return environmentsOf(policy);
  return [...new Set(plan.writes.flatMap((write) => [...write.states.keys()]))];
}

/**
 * Whether a plan of now is still the one that was approved: the same versions, and the same facts about them. Facts
 * that depend on time (an exception that has ended) may have changed; what is written follows from content and versions.
 */
export function isSamePlan(one: Planned, other: Planned): boolean {
  if (one.changes === other.changes) return true;
  const judged = ({ changes, freeze, revocation, bases }: Planned) =>
    canonicalJson({ facts: changes.map(({ flag, facts }) => ({ flag, facts })), freeze, revocation, bases });
  return judged(one) === judged(other);
}
