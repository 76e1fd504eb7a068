import { MeaningFault } from './fault.ts';
import type { LogRecord, Move } from './leaf.ts';

/** A version of a flag's definition or of its state in one environment. */
export interface FlagVersion {
  version: number;
  digest: string;
  place: number;
  /** Of a definition: whether the flag is retired. Records of earlier versions of the broker do not say so. */
  retired: boolean;
}

/** The flags as they were at one size of the log. */
export interface FlagsAt {
  /** Their definitions, retired ones too. */
  definitions: ReadonlyMap<string, FlagVersion>;
  /** The state of a flag in an environment; undefined if it never had one. */
  states: (flag: string, environment: string) => FlagVersion | undefined;
}

/** Follows the versions of flags. */
export interface Versions {
  /**
   * @param options.complete whether everything before was readable; otherwise a chain may begin anywhere
   * @throws MeaningFault
   */
  take(record: LogRecord, options: { complete: boolean }): void;
  /** The namespace of a flag; null if no record says it. */
  namespaceOf(flag: string): string | null;
  /** The newest version of each flag, by the flag and its environments; that of the definition is under null. */
  newest(): ReadonlyMap<string, ReadonlyMap<string | null, FlagVersion>>;
  /**
   * The flags as they were after the first `size` records. Only moves since then are undone, so it is for sizes that are not
   * far behind.
   *
   * @returns null if it cannot be told
   */
  at(size: number): FlagsAt | null;
  /** How many versions were followed. */
  count(): number;
}

/** The moves of a record: the flags whose versions it changes. The others are named at the version that it is based on. */
export function movesOf({ flags }: LogRecord): readonly Move[] {
  return (flags ?? []).filter(({ version_after, version_before }) => version_after !== version_before);
}

/** How many moves can be undone. */
const MAX_UNDONE = 100_000;

/** A move that can be undone. */
interface Undo {
  place: number;
  flag: string;
  environment: string | null;
  former: FlagVersion | undefined;
}

/** Each flag's versions are one chain without a gap, for its definition and for its state in each environment. */
export function followVersions(): Versions {
  const flags = new Map<string, Map<string | null, FlagVersion>>();
  const namespaces = new Map<string, string>();
  let count = 0;
  // Lists that are withheld may have moved any flag.
  let unsureUntil = 0;
  let isComplete = true;
  const recent: Undo[] = [];
  let undoneFrom = 0;

  function remember(undo: Undo): void {
    recent.push(undo);
    if (recent.length <= 2 * MAX_UNDONE) return;
    undoneFrom = recent[MAX_UNDONE - 1]?.place ?? undoneFrom;
    recent.splice(0, MAX_UNDONE);
  }

  function at(size: number): FlagsAt | null {
    if (!isComplete || unsureUntil > 0 || size < undoneFrom) return null;
    const undone = new Map<string, Map<string | null, FlagVersion | undefined>>();
    for (let index = recent.length - 1; index >= 0; index -= 1) {
      const { place, flag, environment, former } = recent[index] as Undo;
      if (place <= size) break;
      undone.set(flag, (undone.get(flag) ?? new Map()).set(environment, former));
    }
    const versionAt = (flag: string, environment: string | null) => {
      const former = undone.get(flag);
      return former?.has(environment) === true ? former.get(environment) : flags.get(flag)?.get(environment);
    };
    const definitions = new Map<string, FlagVersion>();
    for (const flag of flags.keys()) {
      const definition = versionAt(flag, null);
      if (definition !== undefined) definitions.set(flag, definition);
    }
    return { definitions, states: versionAt };
  }

  return {
    at,
    take: (record, { complete }) => {
      isComplete = complete;
      if (record.flags === null) unsureUntil = record.place;
      for (const move of movesOf(record)) {
        const chain = flags.get(move.flag) ?? new Map<string | null, FlagVersion>();
        const known = chain.get(move.environment);
        const isSure = known === undefined ? complete && unsureUntil === 0 : known.place > unsureUntil;
        const { place } = record;
        remember({ place, flag: move.flag, environment: move.environment, former: known });
        chain.set(move.environment, {
          ...next(record, move, { known, isSure }),
          place,
          retired: move.retired === true,
        });
        flags.set(move.flag, chain);
        if (move.namespace !== undefined) keepNamespace(namespaces, record, move);
        count += 1;
      }
    },
    namespaceOf: (flag) => namespaces.get(flag) ?? null,
    newest: () => flags,
    count: () => count,
  };
}

function next(
  { place }: LogRecord,
  { flag, environment, version_before, version_after, digest }: Move,
  { known, isSure }: { known: FlagVersion | undefined; isSure: boolean },
): Pick<FlagVersion, 'version' | 'digest'> {
  const what = environment === null ? `the definition of ${flag}` : `${flag} in ${environment}`;
  const fault = (message: string) => new MeaningFault('version_chain', place, message);
  if (version_after !== version_before + 1)
    throw fault(`it moves ${what} from version ${version_before} to ${version_after}`);
  if (digest === null) throw fault(`it moves ${what} without saying to what`);
  const before = known?.version ?? 0;
  if (isSure && before !== version_before) {
    const since =
      known === undefined ? 'which is at none yet' : `which is at ${before} since place ${known.place}`;
    throw fault(`it moves ${what} from version ${version_before}, ${since}`);
  }
  return { version: version_after, digest };
}

function keepNamespace(
  namespaces: Map<string, string>,
  { place }: LogRecord,
  { flag, namespace = '' }: Move,
): void {
  const known = namespaces.get(flag);
  if (known !== undefined && known !== namespace)
    throw new MeaningFault(
      'version_chain',
      place,
      `it moves ${flag} from the namespace ${known} to ${namespace}; a flag never leaves its namespace`,
    );
  namespaces.set(flag, namespace);
}
