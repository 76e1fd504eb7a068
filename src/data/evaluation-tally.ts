/*
 * Who evaluated what, counted in memory. An evaluation costs a look-up and an addition here, and waits for nothing: names are
 * looked at when counts are taken. Whatever is asked, by however many, takes a bounded amount of memory.
 */

/** What is counted: a flag, evaluated to a variant. */
export interface Counted {
  readonly key: string | null;
  readonly namespace: string | null;
  readonly variant: string | null;
}

/** All definitions that a token reads, as one document: what becomes of them is evaluated elsewhere. */
export const DEFINITIONS: Counted = { key: null, namespace: null, variant: null };

/**
 * How often one reader was given one variant, or all definitions if no flag is named; without the name of a reader, how often
 * anything else was evaluated in the environment.
 */
export interface EvaluationCount {
  environment: string;
  /** The id of the principal. */
  workload: string | null;
  flag: string | null;
  variant: string | null;
  count: number;
  first_ms: number;
  last_ms: number;
}

/** Who evaluates, and where. The same principal is the same object, for the same token. */
export interface EvaluationReader {
  readonly environment: string;
  readonly principal: { readonly id: string };
}

/** What is counted in full: each evaluation with its time. */
export interface InFull {
  flags: readonly string[];
  /** `*` for all. */
  namespaces: readonly string[];
}

/** The counts since they were last taken. */
export interface EvaluationTally {
  /** Counts one flag, or a list of flags that is one object for the same answer. */
  note(reader: EvaluationReader, what: Counted | readonly Counted[], nowMs: number): void;
  /** Takes counts out, at most `limit` rows; none if nothing waits. */
  take(limit: number): EvaluationCount[];
  /** How many evaluations wait to be taken. */
  waiting(): number;
  /** How many evaluations were ever counted without names, or in full only by their number, because too many waited. */
  shortened(): number;
}

/** The limits of what waits. The defaults take some megabytes. */
export interface TallyLimits {
  /** Rows with names, and rows of what is counted in full, each. */
  rows: number;
  /** What is counted by object before it is counted by name: flags of answers, over all readers. */
  flags: number;
}

const LIMITS: TallyLimits = { rows: 10_000, flags: 50_000 };

/** How often something was answered to one reader. */
interface Tick {
  /** What is counted, and what is noted in full. */
  readonly counted: readonly Counted[];
  readonly inFull: readonly Counted[];
  count: number;
  first_ms: number;
  last_ms: number;
}

/** The ticks of one reader. An object is found without making a text of it. */
interface ReaderTicks {
  readonly environment: string;
  readonly ticks: Map<Counted | readonly Counted[], Tick>;
}

type Times = Pick<EvaluationCount, 'count' | 'first_ms' | 'last_ms'>;
const NONE: readonly Counted[] = [];

/** Creates an empty tally. */
export function createTally({ flags, namespaces }: InFull, limits: TallyLimits = LIMITS): EvaluationTally {
  const readers = new Map<EvaluationReader['principal'], ReaderTicks>();
  let flagsByObject = 0;
  const rows = new Map<string, EvaluationCount>();
  const others = new Map<string, EvaluationCount>();
  const singles: EvaluationCount[] = [];
  let waiting = 0;
  let shortened = 0;
  const isNothingInFull = flags.length === 0 && namespaces.length === 0;
  const isInFull = ({ key, namespace }: Counted) =>
    namespaces.includes('*') ||
    (key !== null && flags.includes(key)) ||
    (namespace !== null && namespaces.includes(namespace));

  function readerTicks({ principal, environment }: EvaluationReader): ReaderTicks {
    const known = readers.get(principal);
    if (known?.environment === environment) return known;
    // A token reads one environment. Whatever its principal read elsewhere is counted before it is forgotten.
    if (known !== undefined) countByName();
    const fresh = { environment, ticks: new Map() };
    readers.set(principal, fresh);
    return fresh;
  }

  function open({ ticks }: ReaderTicks, what: Counted | readonly Counted[], nowMs: number): Tick {
    const list = 'key' in what ? [what] : what;
    const tick: Tick = {
      counted: isNothingInFull ? list : list.filter((each) => !isInFull(each)),
      inFull: isNothingInFull ? NONE : list.filter(isInFull),
      count: 0,
      first_ms: nowMs,
      last_ms: nowMs,
    };
    ticks.set(what, tick);
    flagsByObject += list.length;
    return tick;
  }

  function noteInFull({ environment, principal }: EvaluationReader, flag: Counted, nowMs: number): void {
    const names = { environment, workload: principal.id, flag: flag.key, variant: flag.variant };
    const once = { count: 1, first_ms: nowMs, last_ms: nowMs };
    if (singles.length < limits.rows) {
      singles.push({ ...names, ...once });
      return;
    }
    shortened += 1;
    addByName(names, once);
  }

  /** Adds to the row of these names, or to that of all others if there are too many. */
  function addByName(names: Omit<EvaluationCount, keyof Times>, times: Times): void {
    const key = JSON.stringify([names.environment, names.workload, names.flag, names.variant]);
    let row = rows.get(key);
    if (row === undefined && rows.size < limits.rows) {
      row = { ...names, ...times, count: 0 };
      rows.set(key, row);
    }
    if (row === undefined) {
      shortened += times.count;
      row = others.get(names.environment) ?? { ...names, ...NAMELESS, ...times, count: 0 };
      others.set(names.environment, row);
    }
    add(row, times);
  }

  /** Counts by name what was counted by object, and forgets the objects. */
  function countByName(): void {
    for (const [{ id }, { environment, ticks }] of readers) {
      const byFlag = new Map<Counted, Times>();
      for (const { counted, count, first_ms, last_ms } of ticks.values()) {
        for (const flag of counted) {
          const known = byFlag.get(flag);
          if (known === undefined) byFlag.set(flag, { count, first_ms, last_ms });
          else add(known, { count, first_ms, last_ms });
        }
      }
      for (const [{ key, variant }, times] of byFlag)
        addByName({ environment, workload: id, flag: key, variant }, times);
    }
    readers.clear();
    flagsByObject = 0;
  }

  return {
    note: (reader, what, nowMs) => {
      // Nothing to count, and each context has an empty list of its own: as keys they would be without a limit.
      if (!('key' in what) && what.length === 0) return;
      const of = readerTicks(reader);
      const tick = of.ticks.get(what) ?? open(of, what, nowMs);
      tick.count += 1;
      if (nowMs > tick.last_ms) tick.last_ms = nowMs;
      else if (nowMs < tick.first_ms) tick.first_ms = nowMs;
      waiting += tick.counted.length + tick.inFull.length;
      for (const flag of tick.inFull) noteInFull(reader, flag, nowMs);
      if (flagsByObject >= limits.flags || readers.size >= limits.flags) countByName();
    },
    take: (limit) => {
      countByName();
      const taken = singles.splice(0, limit);
      for (const kept of [rows, others]) {
        for (const [key, row] of kept) {
          if (taken.length >= limit) break;
          taken.push(row);
          kept.delete(key);
        }
      }
      waiting -= taken.reduce((sum, { count }) => sum + count, 0);
      return taken;
    },
    waiting: () => waiting,
    shortened: () => shortened,
  };
}

const NAMELESS = { workload: null, flag: null, variant: null } as const;

function add(to: Times, { count, first_ms, last_ms }: Times): void {
  to.count += count;
  to.first_ms = Math.min(to.first_ms, first_ms);
  to.last_ms = Math.max(to.last_ms, last_ms);
}
