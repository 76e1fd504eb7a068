import type { FlagDefinition, FlagState } from '../flags/model.ts';

/** One flag in a snapshot. `version` is the version of its state. */
export interface SnapshotFlag {
  readonly definition: FlagDefinition;
  readonly state: FlagState;
  readonly version: number;
}

/** The complete flag state of one environment at one version. It is immutable and replaced by newer ones. */
export interface Snapshot {
  readonly environment: string;
  /** Increases with every commit that affects the environment. */
  readonly version: number;
  /** The flags by key, without retired ones: a reader must not distinguish retired from unknown flags. */
  readonly flags: ReadonlyMap<string, SnapshotFlag>;
}

/** Loads flags and version of one environment together, or null for an unknown environment. */
export type LoadSnapshot = (
  environment: string,
) => Promise<{ readonly version: number; readonly flags: readonly SnapshotFlag[] } | null>;

/** The snapshots that this process serves from. */
export interface Snapshots {
  /** The snapshot of an environment, or undefined before the first one is loaded. Never waits. */
  current(environment: string): Snapshot | undefined;
  /**
   * Reloads the environment. When it resolves to true, `current` is at least as new as any commit that was durable when
   * `refresh` was called. False means that loading failed or the environment is unknown. The previous snapshot then
   * stays, and the caller may try again. Never rejects.
   */
  refresh(environment: string): Promise<boolean>;
  /**
   * Applies the changes of one commit without reading the store. If an earlier commit was missed, or a flag's state is
   * not available, the environment is reloaded instead.
   *
   * @param version the environment's version after the commit
   */
  put(environment: string, version: number, flags: readonly FlagUpdate[]): void;
  /** Calls a function whenever an environment has a newer snapshot. It MUST NOT wait or throw. @returns ends the calls */
  onChange(listener: ChangeListener): () => void;
}

/** Told of an environment that has a newer snapshot. */
export type ChangeListener = (environment: string) => void;

/** A flag after a commit; state and version are null if only the definition changed. */
export interface FlagUpdate {
  readonly definition: FlagDefinition;
  readonly state: FlagState | null;
  readonly version: number | null;
}

/** The dependencies of the snapshots. */
export interface SnapshotsDeps {
  load: LoadSnapshot;
  log?: { error(fields: object, message: string): void };
}

/** Pending updates on top of a snapshot: only the newest of each flag, so their number is bounded without reads. */
interface PendingUpdates {
  version: number;
  updates: Map<string, FlagUpdate>;
}

interface LoadState {
  running: Promise<boolean> | null;
  /** The load queued after the running one; concurrent callers share it. */
  next: Promise<boolean> | null;
}

function snapshotOf(environment: string, version: number, flags: readonly SnapshotFlag[]): Snapshot {
  const served = flags.filter(({ definition }) => !definition.retired);
  return { environment, version, flags: new Map(served.map((flag) => [flag.definition.key, flag])) };
}

/**
 * Keeps one snapshot per environment in memory. A snapshot is never replaced by an older one. If a load fails, the last
 * valid snapshot stays, so reads continue without the store.
 */
export function createSnapshots({ load, log }: SnapshotsDeps): Snapshots {
  const snapshots = new Map<string, Snapshot>();
  /** Updates that no reader has needed yet. Writes come in bursts, so the map is copied once for all of them. */
  const pending = new Map<string, PendingUpdates>();
  const loading = new Map<string, LoadState>();
  const listeners = new Set<ChangeListener>();

  function changed(environment: string): void {
    for (const listener of listeners) listener(environment);
  }

  async function loadOnce(environment: string): Promise<boolean> {
    try {
      const loaded = await load(environment);
      if (loaded === null) return false;
      if (loaded.version > (versionOf(environment) ?? -1)) {
        pending.delete(environment);
        snapshots.set(environment, snapshotOf(environment, loaded.version, loaded.flags));
        changed(environment);
      }
      return true;
    } catch (err) {
      log?.error({ err, environment }, 'snapshot not loaded, the previous one stays in use');
      return false;
    }
  }

  function start(environment: string, state: LoadState): Promise<boolean> {
    const run = loadOnce(environment).finally(() => {
      state.running = state.next;
      state.next = null;
      if (state.running === null) loading.delete(environment);
    });
    return run;
  }

  function versionOf(environment: string): number | undefined {
    return pending.get(environment)?.version ?? snapshots.get(environment)?.version;
  }

  function current(environment: string): Snapshot | undefined {
    const base = snapshots.get(environment);
    const waiting = pending.get(environment);
    if (base === undefined || waiting === undefined) return base;
    pending.delete(environment);
    const flags = new Map(base.flags);
    for (const update of waiting.updates.values()) takeOver(flags, update);
    const next = { environment, version: waiting.version, flags };
    snapshots.set(environment, next);
    return next;
  }

  function put(environment: string, version: number, flags: readonly FlagUpdate[]): void {
    const present = versionOf(environment);
    if (present !== undefined && version <= present) return;
    const waiting = pending.get(environment) ?? { version, updates: new Map() };
    if (present === undefined || version !== present + 1 || flags.some((flag) => flag.state === null)) {
      refresh(environment).catch((err: unknown) =>
        log?.error({ err, environment }, 'snapshot not refreshed'),
      );
      return;
    }
    waiting.version = version;
    for (const flag of flags) waiting.updates.set(flag.definition.key, flag);
    pending.set(environment, waiting);
    changed(environment);
  }

  function onChange(listener: ChangeListener): () => void {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  function refresh(environment: string): Promise<boolean> {
    const state = loading.get(environment) ?? { running: null, next: null };
    loading.set(environment, state);
    if (state.running === null) {
      state.running = start(environment, state);
      return state.running;
    }
    // The running load may have started before the commit of this call, so it cannot be reused.
    state.next ??= state.running.then(() => start(environment, state));
    return state.next;
  }

  return { current, refresh, put, onChange };
}

/** Puts a changed flag into a map of flags, or removes a retired one. */
function takeOver(flags: Map<string, SnapshotFlag>, { definition, state, version }: FlagUpdate): void {
  if (definition.retired) flags.delete(definition.key);
  else if (state !== null && version !== null) flags.set(definition.key, { definition, state, version });
}
