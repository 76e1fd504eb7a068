import { type ChangedFlag, type Effect, environmentsOf, type WriteContext } from '../decide/control.ts';
import { digestOf } from '../json.ts';
import type { FlagMove } from '../log/entry.ts';
import { raiseEnvironmentVersion, type VersionOrigin, writeDefinition, writeState } from '../store/flags.ts';
import { insertReceipt } from '../store/receipts.ts';
import type { FlagWrite } from './plan-flags.ts';

/**
 * The one door for flag state (design invariant 1): the only caller of the store's flag writers. It runs in the
 * transaction in which the active policy has just allowed exactly these writes, and in which the caller appends the
 * record of that decision.
 *
 * @returns the versions of each flag before and after, for the record
 * @throws Error if a version differs from the plan's base; this cannot happen in the writing transaction, and the write
 *   is rolled back
 */
async function writeFlags(
  writing: WriteContext,
  writes: readonly FlagWrite[],
  origin: VersionOrigin,
): Promise<FlagMove[]> {
  const moves: FlagMove[] = [];
  for (const write of writes) moves.push(...(await writeFlag(writing, write, origin)));
  for (const environment of touchedEnvironments(writing, writes)) {
    const version = await announce(writing, writes, environment);
    const written = moves.filter((move) => move.environment === environment);
    if (written.length > 0) await noteReceipt(writing, origin, { environment, version, written });
  }
  return moves;
}

/** The effect of a request that changes flags. */
export function flagsMoved(writes: readonly FlagWrite[]): Effect {
  return {
    carryOut: async (writing, origin) => ({ flags: await writeFlags(writing, writes, origin) }),
  };
}

/** Raises the environment's version, and notifies the data plane of the changes after the commit. */
async function announce(
  { tx, deps, afterCommit }: WriteContext,
  writes: readonly FlagWrite[],
  environment: string,
): Promise<number> {
  const version = await raiseEnvironmentVersion(tx, environment);
  const flags: ChangedFlag[] = [];
  for (const { served, states } of writes) {
    const state = states.get(environment);
    // Only the definition changed: the data plane reads the flag again to get its state here.
    if (state === undefined) flags.push({ definition: served, state: null, version: null });
    else flags.push({ definition: served, state: state.value, version: state.base + 1 });
  }
  afterCommit(() => deps.events.flagsChanged(environment, version, flags));
  return version;
}

/** Notes that what was written is to be read back as applications read it. */
function noteReceipt(
  { tx }: WriteContext,
  { request_id, at_ms }: VersionOrigin,
  { environment, version, written }: { environment: string; version: number; written: readonly FlagMove[] },
): Promise<void> {
  const states = written.map(({ flag, version_after, digest }) => ({ flag, version: version_after, digest }));
  return insertReceipt(tx, {
    ...{ request_id, environment, version },
    written: JSON.stringify(states),
    applied_ms: at_ms,
  });
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
    await writeDefinition(tx, row, origin);
    const digest = digestOf(definition.value);
    const versions = { version_before: definition.base, version_after: version };
    moves.push({ flag, environment: null, namespace, ...versions, digest, ...(retired && { retired }) });
  }
  for (const [environment, { value, base }] of states) {
    const row = { flag, environment, version: base + 1, state: JSON.stringify(value) };
    await writeState(tx, row, origin);
    const digest = digestOf(value);
    moves.push({ flag, environment, version_before: base, version_after: base + 1, digest });
  }
  return moves;
}

/** A definition is shared by all environments, so its change affects all of them. */
function touchedEnvironments({ policy }: WriteContext, writes: readonly FlagWrite[]): string[] {
  if (writes.some((write) => write.definition !== null)) return environmentsOf(policy);
  return [...new Set(writes.flatMap((write) => [...write.states.keys()]))];
}
