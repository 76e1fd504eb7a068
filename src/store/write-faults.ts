import { BrokerError } from '../errors.ts';

/*
 * What can go wrong in the writing transaction, and what its callers are told.
 */

/** Another process has taken over the writer: all caches of this process are stale. */
export class TakeoverError extends Error {
  constructor() {
    super('another broker has taken over this store, so this broker no longer writes');
    this.name = 'TakeoverError';
  }
}

/** The disk failed at the commit: the transaction may or may not be on it. */
export class UnknownOutcome extends Error {
  constructor(cause: unknown) {
    super('the disk failed at a commit, so its outcome is unknown', { cause });
    this.name = 'UnknownOutcome';
  }
}

/** The error of a write that was undone. */
export function notRecorded(cause: unknown): BrokerError {
  return new BrokerError(
    'not_recorded',
    'The store could not commit the decision, so this write was undone; try again later.',
    { headers: { 'Retry-After': '5' } },
    cause,
  );
}

/** The error of a write of which only a restart can tell whether it is on the disk. */
export function outcomeUnknown(cause: unknown): BrokerError {
  return new BrokerError(
    'outcome_unknown',
    'The disk failed while the decision was being committed. Read the current state after the broker has restarted, then decide whether to repeat the call.',
    { headers: { 'Retry-After': '30' } },
    cause,
  );
}

/** Another program has held its lock on the database for too long. */
export function databaseLocked(cause: unknown): BrokerError {
  return new BrokerError(
    'database_in_use',
    'Another program holds a lock on the database, so nothing was written; try again later. If it lasts, the operator must end that program.',
    { headers: { 'Retry-After': '5' } },
    cause,
  );
}

/** Another connection holds the lock that a statement needs. */
export function isBusy(error: unknown): boolean {
  return String((error as { code?: unknown } | null)?.code).startsWith('SQLITE_BUSY');
}

/** The store refused a statement of the write, so its decision has no record. */
export function isStoreError(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && code.startsWith('SQLITE_');
}

/** The disk is full or failing: no write of this batch can be guaranteed. */
export function isStorageFault(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && /^SQLITE_(FULL|IOERR|NOMEM|CORRUPT|READONLY|CANTOPEN)/.test(code);
}

/** The disk cannot be relied on. After such an error at the commit, only a restart can tell what is on it. */
export function isDiskFault(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && code.startsWith('SQLITE_IOERR');
}
