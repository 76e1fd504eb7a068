import { MeaningFault } from './fault.ts';
import type { LogRecord, Move } from './leaf.ts';

/** A version of a flag's definition or of its state in one environment. */
export interface FlagVersion {
  version: number;
  digest: string;
  place: number;
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
  /** How many versions were followed. */
  count(): number;
}

/** The moves of a record: the flags whose versions it changes. The others are named at the version that it is based on. */
export function movesOf({ flags }: LogRecord): readonly Move[] {
  return (flags ?? []).filter(({ version_after, version_before }) => version_after !== version_before);
}

/** Each flag's versions are one chain without a gap, for its definition and for its state in each environment. */
export function followVersions(): Versions {
  const flags = new Map<string, Map<string | null, FlagVersion>>();
  const namespaces = new Map<string, string>();
  let count = 0;
  // Lists that are withheld may have moved any flag.
  let unsureUntil = 0;
  return {
    take: (record, { complete }) => {
      if (record.flags === null) unsureUntil = record.place;
      for (const move of movesOf(record)) {
        const chain = flags.get(move.flag) ?? new Map<string | null, FlagVersion>();
        const known = chain.get(move.environment);
        const isSure = known === undefined ? complete && unsureUntil === 0 : known.place > unsureUntil;
        chain.set(move.environment, { ...next(record, move, { known, isSure }), place: record.place });
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
): Omit<FlagVersion, 'place'> {
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
