import { BrokerError } from '../errors.ts';
import { type CosignedHead, type LogHead, readHead, writeCosigned } from './log-head.ts';
import { beginBatch, type Db, type Tx } from './statement.ts';

/** The tolerated clock difference between brokers. Within it, a write takes the time of the last record. */
const MAX_BEHIND_MS = 5000;

/** Whether something has begun at a time. That time may be of a write, and so a little ahead of this broker's clock. */
export function hasBegun(beginMs: number, nowMs: number): boolean {
  return beginMs <= nowMs + MAX_BEHIND_MS;
}

/** The state shared by the writes of one batch. Created by the writer only. */
export interface Batch {
  /** The head as the current write sees it, including the records of earlier writes in the batch. */
  head: LogHead;
  /** The head before the first write. */
  readonly from: LogHead;
  /** The hashes of the leaves that the batch appends, by place. A place that was given again has the later one. */
  readonly leaves: Map<number, Buffer>;
  readonly clock: () => number;
  /** Committed pseudonyms, by kind and name. */
  readonly pseudonyms: Map<string, string>;
  /** Registers a listener that runs after the commit of the current write. What it throws is logged. */
  afterCommit(listener: () => void): void;
}

const batches = new WeakMap<Tx, Batch>();

/** Binds a batch to its transaction. For the writer only. */
export function openBatch(tx: Tx, batch: Batch): void {
  batches.set(tx, batch);
  beginBatch(tx);
}

/** The batch of a write. */
export function batchOf(tx: Tx): Batch {
  const batch = batches.get(tx);
  if (batch === undefined) throw new Error('this transaction does not belong to the writer');
  return batch;
}

/**
 * The time of a write. It is never before the time of the last record, so times are monotonic in the log.
 *
 * @throws BrokerError `clock_behind` if the clock is more than five seconds behind the last record
 */
export function momentOf(tx: Tx): number {
  const { clock, head } = batchOf(tx);
  const nowMs = clock();
  const fault = clockFault(head, nowMs);
  if (fault !== null) throw fault;
  return Math.max(nowMs, head.last_ms);
}

/** Why no record may be written at this time, or null. */
export function clockFault({ last_ms }: Pick<LogHead, 'last_ms'>, nowMs: number): BrokerError | null {
  if (hasBegun(last_ms, nowMs)) return null;
  const behindS = Math.ceil((last_ms - nowMs) / 1000);
  return new BrokerError(
    'clock_behind',
    `The clock of this broker is ${behindS} seconds behind the last record. Nothing was written; the operator must correct the clock, or accept it with "countersign accept-clock" if it is right.`,
    { headers: { 'Retry-After': String(Math.min(behindS, 60)) } },
  );
}

/** The head of the log as a decision sees it: that of its batch, if it is made in a write. */
export async function headFor(db: Db): Promise<LogHead> {
  return batches.get(db as Tx)?.head ?? (await readHead(db));
}

/** Notes in the head what a quorum of witnesses has cosigned last. Later writes of the batch see it. */
export async function noteCosigned(tx: Tx, cosigned: CosignedHead): Promise<void> {
  const batch = batchOf(tx);
  await writeCosigned(tx, cosigned);
  batch.head = { ...batch.head, ...cosigned };
}

/**
 * Accepts the clock although it is behind the last record. The record of this act takes the time of the clock, and so do
 * all later ones: only the order of places says what came first.
 *
 * @returns the time of this write
 */
export function acceptClock(tx: Tx): number {
  const batch = batchOf(tx);
  const nowMs = batch.clock();
  batch.head = { ...batch.head, last_ms: nowMs };
  return nowMs;
}

/**
 * Begins a new epoch of the log, for a confirmed restore. It is written with the record of that act.
 *
 * @param known the highest epoch that is known from outside the database
 */
export function beginEpoch(tx: Tx, known = 0): void {
  const batch = batchOf(tx);
  batch.head = { ...batch.head, epoch: Math.max(batch.head.epoch, known) + 1 };
}

/**
 * Takes the next place in the log for a record of that time. If the write is rolled back, the place is free again.
 *
 * @throws Error if the time is before that of the last record, which means that it did not come from {@link momentOf}
 */
export function takePlace(tx: Tx, atMs: number): number {
  const batch = batchOf(tx);
  const { head } = batch;
  if (atMs < head.last_ms)
    throw new Error('the time of a record must not be before that of the previous record');
  batch.head = { ...head, size: head.size + 1, last_ms: atMs };
  return batch.head.size;
}
