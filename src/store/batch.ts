import { BrokerError } from '../errors.ts';
import type { LogHead } from './log-head.ts';
import type { Tx } from './statement.ts';

/** Clocks of brokers differ a little: so far behind the last record a write takes the moment of that record. */
const MAX_BEHIND_MS = 5000;

/** What the writes of one batch share, one after the other. Made by the writer only. */
export interface Batch {
  /** The head as the write at hand sees it: what those before it in the batch appended is counted in. */
  head: LogHead;
  readonly clock: () => number;
  /** Pseudonyms that are durable, by kind and name. */
  readonly pseudonyms: Map<string, string>;
  /** Takes what has to happen once the write at hand is durable. What it throws is reported, and takes nothing back. */
  afterCommit(listener: () => void): void;
}

const batches = new WeakMap<Tx, Batch>();

/** Binds a batch to its transaction. For the writer only. */
export function openBatch(tx: Tx, batch: Batch): void {
  batches.set(tx, batch);
}

/** The batch that a write runs in. */
export function batchOf(tx: Tx): Batch {
  const batch = batches.get(tx);
  if (batch === undefined) throw new Error('this transaction is not one of the writer');
  return batch;
}

/**
 * The moment of a write. It is never before the last record, so that moments rise with places.
 *
 * @throws BrokerError `clock_behind` when the clock is more than five seconds behind the last record
 */
export function momentOf(tx: Tx): number {
  const { clock, head } = batchOf(tx);
  const nowMs = clock();
  const behindMs = head.last_ms - nowMs;
  if (behindMs <= 0) return nowMs;
  if (behindMs <= MAX_BEHIND_MS) return head.last_ms;
  throw new BrokerError(
    'clock_behind',
    `The clock of this broker is ${Math.ceil(behindMs / 1000)} seconds behind the last record. Nothing was written; its operator sets the clock.`,
    { headers: { 'Retry-After': String(Math.min(Math.ceil(behindMs / 1000), 60)) } },
  );
}

/**
 * Takes the next place in the log for a record of that moment. When the write is undone, the place is free again.
 *
 * @throws Error when the moment is before that of the last record: it was not taken with {@link momentOf}
 */
export function takePlace(tx: Tx, atMs: number): number {
  const batch = batchOf(tx);
  const { head } = batch;
  if (atMs < head.last_ms) throw new Error('a record would be earlier than the one before it');
  batch.head = { ...head, size: head.size + 1, last_ms: atMs };
  return batch.head.size;
}
