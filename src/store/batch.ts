import { BrokerError } from '../errors.ts';
import type { LogHead } from './log-head.ts';
import type { Tx } from './statement.ts';

/** The tolerated clock difference between brokers. Within it, a write takes the time of the last record. */
const MAX_BEHIND_MS = 5000;

/** The state shared by the writes of one batch. Created by the writer only. */
export interface Batch {
  /** The head as the current write sees it, including the records of earlier writes in the batch. */
  head: LogHead;
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
  const behindMs = head.last_ms - nowMs;
  if (behindMs <= 0) return nowMs;
  if (behindMs <= MAX_BEHIND_MS) return head.last_ms;
  throw new BrokerError(
    'clock_behind',
    `The clock of this broker is ${Math.ceil(behindMs / 1000)} seconds behind the last record. Nothing was written; the operator must correct the clock.`,
    { headers: { 'Retry-After': String(Math.min(Math.ceil(behindMs / 1000), 60)) } },
  );
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
