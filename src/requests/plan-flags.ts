import type { Base, PlanContext } from '../decide/plan.ts';
import { BrokerError } from '../errors.ts';
import type { InputChange } from '../flags/change-facts.ts';
import type { Change } from '../flags/changes.ts';
import { type FlagDefinition, type FlagState, TIERS } from '../flags/model.ts';
import { initialStateOf, planChange } from '../flags/plan.ts';
import { findInEnvironment, findStateVersion, listStates } from '../store/flags.ts';
import type { Db } from '../store/statement.ts';

/** The result of a request for one flag, with the versions that it replaces. */
export interface FlagWrite {
  flag: string;
  /** The definition after the write, changed or not. */
  served: FlagDefinition;
  definition: { value: FlagDefinition; base: number } | null;
  /** By environment. A new flag gets its first state in every environment. */
  states: ReadonlyMap<string, { value: FlagState; base: number }>;
}

/** The plan of changes of flags: what the policy judges, what approvals cover, what the door writes. */
export interface FlagsPlan {
  changes: InputChange[];
  bases: Base[];
  writes: FlagWrite[];
}

/** A flag while the changes of one request are applied to it in turn. */
interface FlagFold {
  definition: FlagDefinition | null;
  definitionBase: number;
  definitionChanged: boolean;
  state: FlagState | null;
  stateBase: number;
  stateChanged: boolean;
  /** The initial state of a new flag in every environment: switched off. */
  initial: FlagState | null;
  /** Versions of the flag's states in all environments, if its definition changes: that affects all of them. */
  reached: { environment: string; version: number }[];
  /** The highest tier that the flag has before or at any point within the request. */
  tier: FlagDefinition['tier'] | null;
}

/** Bounds the input of the policy engine and the size of the evidence. */
const MAX_PLANNED_BYTES = 256 * 1024;
/** Keeps an application a short write, because other writes wait for it. */
const MAX_MOVES = 200;

/**
 * Applies the changes of a content to the current flags, in memory.
 *
 * @throws BrokerError `invalid_change`, with a fault for each invalid change
 */
export async function planFlags(
  db: Db,
  content: { environment: string; changes: readonly Change[] },
  { now_ms, environments, onlyJudged }: PlanContext,
): Promise<FlagsPlan> {
  if (!environments.includes(content.environment)) {
    throw new BrokerError('invalid_change', `Unknown environment "${content.environment}".`, {
      errors: [{ pointer: '#/environment', detail: 'no environment has this name' }],
    });
  }
  const flags = new Map<string, FlagFold>();
  const changes: InputChange[] = [];
  let bytes = 0;
  for (const [place, change] of content.changes.entries()) {
    let folding = flags.get(change.flag);
    if (folding === undefined) {
      const isFree = onlyJudged === true && change.action === 'create';
      folding = await loadFolding(db, isFree ? null : change.flag, content.environment);
      flags.set(change.flag, folding);
    }
    const planned = await planOne(db, change, folding, { environment: content.environment, now_ms, place });
    bytes += JSON.stringify(planned).length;
    if (bytes > MAX_PLANNED_BYTES)
      refuseSize(
        place,
        `at most ${MAX_PLANNED_BYTES / 1024} KiB of changes, including the replaced documents`,
      );
    changes.push(planned);
  }
  const writes = [...flags].map(([flag, folding]) =>
    toWrite(flag, folding, content.environment, environments),
  );
  const moves = writes.reduce(
    (sum, write) => sum + write.states.size + (write.definition === null ? 0 : 1),
    0,
  );
  if (moves > MAX_MOVES)
    refuseSize(changes.length - 1, `at most ${MAX_MOVES} new versions; this request creates ${moves}`);
  return {
    changes: changes.map((change) => withHighestTier(change, flags)),
    bases: [...flags].flatMap(([flag, folding]) => basesOf(flag, folding, content.environment)),
    writes,
  };
}

function refuseSize(place: number, detail: string): never {
  throw new BrokerError('invalid_change', 'The request is too large; split it into several requests.', {
    errors: [{ pointer: `#/changes/${place}`, detail }],
  });
}

/** Every change of a flag is judged by its highest tier, so that no step of a request is judged by a lower one. */
function withHighestTier(change: InputChange, flags: ReadonlyMap<string, FlagFold>): InputChange {
  const tier = flags.get(change.flag.key)?.tier ?? change.flag.tier;
  return { ...change, flag: { ...change.flag, tier } };
}

function higherTier(
  one: FlagDefinition['tier'] | null,
  other: FlagDefinition['tier'],
): FlagDefinition['tier'] {
  return one !== null && TIERS.indexOf(one) > TIERS.indexOf(other) ? one : other;
}

async function loadFolding(db: Db, flag: string | null, environment: string): Promise<FlagFold> {
  const row = flag === null ? undefined : await findInEnvironment(db, flag, environment);
  const definition = row === undefined ? null : (JSON.parse(row.definition) as FlagDefinition);
  const state = typeof row?.state === 'string' ? (JSON.parse(row.state) as FlagState) : null;
  return {
    definition,
    definitionBase: row?.version ?? 0,
    definitionChanged: false,
    state: state ?? (definition === null ? null : initialStateOf(definition)),
    stateBase: row?.state_version ?? 0,
    stateChanged: false,
    initial: null,
    reached: [],
    tier: definition?.tier ?? null,
  };
}

async function planOne(
  db: Db,
  change: Change,
  folding: FlagFold,
  at: { environment: string; now_ms: number; place: number },
): Promise<InputChange> {
  const earlier = await loadEarlier(db, change, at.environment);
  const inUse =
    change.action === 'update' || change.action === 'retire' ? await listStates(db, change.flag) : [];
  const result = withPointer(`#/changes/${at.place}`, () =>
    planChange({
      change,
      definition: folding.definition,
      state: folding.state,
      earlier,
      states_in_use: inUse.map((row) => JSON.parse(row.state) as FlagState),
      environment: at.environment,
      now_ms: at.now_ms,
    }),
  );
  if (change.action === 'create') folding.initial = result.state;
  if (inUse.length > 0) folding.reached = inUse.map(({ environment, version }) => ({ environment, version }));
  folding.tier = higherTier(folding.tier, result.flag.tier);
  if (result.definition !== null) {
    folding.definition = result.definition;
    folding.definitionChanged = true;
  }
  if (result.state !== null) {
    folding.state = result.state;
    folding.stateChanged = true;
  }
  const { key, namespace, tier, kind, owner, expires_ms } = result.flag;
  return {
    flag: { key, namespace, tier, kind, owner, expires_ms },
    action: result.action,
    before: result.before,
    after: result.after,
    facts: result.facts,
  };
}

async function loadEarlier(db: Db, change: Change, environment: string): Promise<FlagState | null> {
  if (change.action !== 'return_to_version') return null;
  const row = await findStateVersion(db, { flag: change.flag, environment, version: change.version });
  return row === undefined ? null : (JSON.parse(row.state) as FlagState);
}

/** Prefixes the pointers of the faults with the position of the change. */
function withPointer<T>(pointer: string, compute: () => T): T {
  try {
    return compute();
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    const errors = error.fields.errors ?? [{ pointer: '#', detail: error.message }];
    throw new BrokerError(error.code, error.message, {
      ...error.fields,
      errors: errors.map((fault) => ({ ...fault, pointer: `${pointer}${fault.pointer.slice(1)}` })),
    });
  }
}

/**
 * The bases include the definition and the state, whichever changes: an approver of "enable" has seen the flag's tier
 * and variants. If the definition changes, they include the states of all environments: an approver of "retire" has
 * seen who still gets the flag.
 */
function basesOf(flag: string, folding: FlagFold, environment: string): Base[] {
  const own = { environment, version: folding.stateBase };
  const others = folding.reached.filter((state) => state.environment !== environment);
  return [
    { of: `definition:${flag}`, version: folding.definitionBase },
    ...[own, ...others].map((state) => ({
      of: `state:${flag}@${state.environment}`,
      version: state.version,
    })),
  ];
}

function toWrite(
  flag: string,
  folding: FlagFold,
  environment: string,
  environments: readonly string[],
): FlagWrite {
  const { definition: served } = folding;
  if (served === null) throw new Error(`${flag} was planned without a definition`);
  const states = new Map<string, { value: FlagState; base: number }>();
  if (folding.initial !== null) {
    for (const each of environments) states.set(each, { value: folding.initial, base: 0 });
  }
  if (folding.stateChanged && folding.state !== null) {
    states.set(environment, { value: folding.state, base: folding.stateBase });
  }
  const definition = folding.definitionChanged ? { value: served, base: folding.definitionBase } : null;
  return { flag, served, definition, states };
}
