import { brokerEventEntry } from '../decide/broker-event.ts';
import type { ControlDeps, WriteContext } from '../decide/control.ts';
import { write } from '../decide/write.ts';
import { digestOf } from '../json.ts';
import { append } from '../log/append.ts';
import { schedulerPrincipal } from '../principal.ts';
import { type EvaluationRow, insertEvaluations, MAX_ROWS_OF_RECORD } from '../store/evaluations.ts';
import { pseudonymOf } from '../store/pseudonyms.ts';
import { findDetails } from '../store/records.ts';
import { hasReportedReads, takeReportedReads } from '../store/relays.ts';

/*
 * Who evaluated what becomes evidence: rows in a table, and a record with their digest. No policy decides it. Rows name
 * principals by their pseudonyms, so erasing a name needs no change of a row, and the digest still fits.
 */

/** What was counted; `workload` is the id of a principal. */
export type CountedEvaluation = EvaluationRow;

/** What is counted, and can be taken. */
export interface Counts {
  /** At most so many rows; none if nothing waits. */
  take(limit: number): CountedEvaluation[];
  /** How many evaluations were ever counted without names, or by their number only, because too many waited. */
  shortened(): number;
}

/** Records what was counted. */
export interface EvaluationRecorder {
  /**
   * Records everything that waits, in as many records as it takes. What could not be recorded waits for the next call.
   *
   * @throws BrokerError if the store takes no writes
   */
  flush(): Promise<void>;
  /** How many evaluations were taken, and are not recorded yet. */
  unrecorded(): number;
}

interface Interval {
  id: string;
  rows: CountedEvaluation[];
  from_ms: number;
  to_ms: number;
}

/** Creates the recorder. An interval begins when the last one was taken. */
export function createEvaluationRecorder({
  control,
  counts,
  log,
}: {
  control: ControlDeps;
  counts: Counts;
  log: { warn(fields: object, message: string): void };
}): EvaluationRecorder {
  const call = { principal: schedulerPrincipal, credential: null, http_request_id: null };
  let fromMs = control.clock();
  // Tried again as it is: whether a lost commit came through is told by its id.
  let taken: Interval | null = null;
  let warnedOf = 0;
  let flushing = Promise.resolve();

  function takeNext(startMs: number, nowMs: number): Interval | null {
    const rows = counts.take(MAX_ROWS_OF_RECORD);
    if (rows.length === 0) return null;
    const from_ms = Math.min(startMs, ...rows.map(({ first_ms }) => first_ms));
    return { id: control.newId(nowMs), rows, from_ms, to_ms: Math.max(nowMs, from_ms) };
  }

  async function recordAll(): Promise<void> {
    const nowMs = control.clock();
    const startMs = fromMs;
    fromMs = nowMs;
    taken ??= takeNext(startMs, nowMs);
    const shortened = counts.shortened();
    if (shortened > warnedOf)
      log.warn({ evaluations: shortened - warnedOf }, 'too much was evaluated to be recorded as configured');
    warnedOf = shortened;
    while (taken !== null) {
      const interval = taken;
      await write(control, call, (writing) => recordInterval(writing, interval), 'scheduled');
      taken = takeNext(startMs, nowMs);
    }
    while (await hasReportedReads(control.store.read))
      await write(control, call, recordReported, 'scheduled');
  }

  return {
    flush: () => {
      flushing = flushing.then(recordAll, recordAll);
      return flushing;
    },
    unrecorded: () => totalOf(taken?.rows ?? []),
  };
}

async function recordInterval(
  writing: WriteContext,
  { id, rows: counted, from_ms, to_ms }: Interval,
): Promise<undefined> {
  const { tx } = writing;
  if ((await findDetails(tx, id)) !== undefined) return;
  const rows: EvaluationRow[] = [];
  for (const { workload, ...row } of counted)
    rows.push({ ...row, workload: workload === null ? null : await pseudonymOf(tx, 'principal', workload) });
  await recordRows(writing, { id, rows, from_ms, to_ms });
}

/**
 * Records what relays have reported, of one reporter at a time: the record says who told it. Rows leave the store with the same
 * commit, so each read counts once.
 */
async function recordReported(writing: WriteContext): Promise<undefined> {
  const { tx, deps, now_ms } = writing;
  const taken = await takeReportedReads(tx, MAX_ROWS_OF_RECORD);
  const [first] = taken;
  if (first === undefined) return;
  const rows = taken.map(({ name: _, reporter: _reporter, ...row }): EvaluationRow => row);
  const from_ms = Math.min(...rows.map(({ first_ms }) => first_ms));
  const to_ms = Math.max(now_ms, from_ms);
  await recordRows(writing, { id: deps.newId(now_ms), rows, from_ms, to_ms }, first.reporter);
}

/** @param reporter the pseudonym of who told it; undefined for what this broker has counted */
async function recordRows(
  { tx, now_ms, policy }: WriteContext,
  { id, rows, from_ms, to_ms }: Omit<Interval, 'rows'> & { rows: EvaluationRow[] },
  reporter?: string,
): Promise<void> {
  const evaluations = totalOf(rows);
  const where = reporter === undefined ? '' : ' at relays';
  const entry = brokerEventEntry({
    id,
    at_ms: now_ms,
    operation: 'evaluations.counted',
    effect: 'allow',
    because: {
      code: 'evaluations_counted',
      detail: `Flags were evaluated ${evaluations} times${where}; ${rows.length} rows say by whom.`,
    },
    policy_hash: policy.hash,
    input: {
      ...{ from_ms, to_ms, evaluations, rows: rows.length, digest: digestOf(rows) },
      ...(reporter === undefined ? {} : { reported_by: reporter }),
    },
  });
  await insertEvaluations(tx, await append(tx, entry), rows);
}

function totalOf(rows: readonly Pick<EvaluationRow, 'count'>[]): number {
  return rows.reduce((sum, { count }) => sum + count, 0);
}
