import { type ChangedFlag, type Effect, environmentsOf, type WriteContext } from '../decide/control.ts';
import { digestOf } from '../json.ts';
import type { FlagMove } from '../log/entry.ts';
import { raiseEnvironmentVersion, type VersionOrigin, writeDefinition, writeState } from '../store/flags.ts';
import type { FlagWrite } from './plan-flags.ts';

/**
 * The one door for flag state (design invariant 1): the only caller of the store's flag writers. It runs inside the
 * transaction in which the active policy has just said `allow` about exactly these writes, and in which the caller
 * appends that decision's record.
 *
 * @returns how each flag's versions moved, for the record
 * @throws Error when a version is not the one that the plan was made on; inside the writing transaction that cannot
 *   happen, and the write is undone
 */
async function writeFlags(
  writing: WriteContext,
  writes: readonly FlagWrite[],
  origin: VersionOrigin,
): Promise<FlagMove[]> {
  const moves: FlagMove[] = [];
  for (const write of writes) moves.push(...(await writeFlag(writing, write, origin)));
  for (const environment of touchedEnvironments(writing, writes))
    await announce(writing, writes, environment);
  return moves;
}

/** The effect of a request that changes flags. */
export function flagsMoved(writes: readonly FlagWrite[]): Effect {
  return {
    carryOut: async (writing, origin) => ({ flags: await writeFlags(writing, writes, origin) }),
  };
}

/** Raises the environment's version, and hands what changed to the data plane once it is durable. */
async function announce(
  { tx, deps, afterCommit }: WriteContext,
  writes: readonly FlagWrite[],
  environment: string,
): Promise<void> {
  const version = await raiseEnvironmentVersion(tx, environment);
  const flags: ChangedFlag[] = [];
  for (const { served, states } of writes) {
    const state = states.get(environment);
    // A definition changed and its state here did not: the data plane has that state, so it reads the flag again.
    if (state === undefined) flags.push({ definition: served, state: null, version: null });
    else flags.push({ definition: served, state: state.value, version: state.base + 1 });
  }
  afterCommit(() => deps.events.flagsChanged(environment, version, flags));
}

async function writeFlag({ tx }: WriteContext, write: FlagWrite, origin: VersionOrigin): Promise<FlagMove[]> {
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
function touchedEnvironments({ policy }: WriteContext, writes: readonly FlagWrite[]): string[] {
  if (writes.some((write) => write.definition !== null)) return environmentsOf(policy);
  return [...new Set(writes.flatMap((write) => [...write.states.keys()]))];
}
