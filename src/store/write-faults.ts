import { BrokerError } from '../errors.ts';

/*
 * What can go wrong in the writing transaction, and what its callers are told. A fault of the disk stops writes only: what
 * was read stays true, and flags are served from memory.
 */

/** Another process has raised the fence: what this one remembers may no longer hold. */
export class TakeoverError extends Error {
  constructor() {
    super(
      'another broker has taken over this store, or an operator has changed it, so this broker no longer writes',
    );
    this.name = 'TakeoverError';
  }
}

/** The disk, or the connection to the database, failed at the commit: the transaction may or may not be there. */
export class UnknownOutcome extends Error {
  constructor(cause: unknown) {
    super(`a commit failed, so its outcome is unknown: ${(cause as Error).message}`, { cause });
    this.name = 'UnknownOutcome';
  }
}

/** A checkpoint failed, so nothing is known about what is in the database file. */
export class CheckpointFailed extends Error {
  constructor(cause: unknown) {
    super(`a checkpoint failed: ${(cause as Error).message}`, { cause });
    this.name = 'CheckpointFailed';
  }
}

/** What was read is not in the log of the server that writes now. */
export class HeadLost extends Error {
  readonly code = 'HEAD_LOST';

  constructor() {
    super('the end of the log that was read is not in the log of the server that writes now');
    this.name = 'HeadLost';
  }
}

/** What is written no longer reaches the file of this name: an acknowledged write would be lost. */
export class FileLost extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'FileLost';
  }
}

/** The error of a write that was undone. */
export function notRecorded(cause: unknown): BrokerError {
  const why = whyOf(cause);
  return new BrokerError(
    'not_recorded',
    `The store could not commit the decision${why === undefined ? '' : `, because ${why}`}, so this write was undone; try again later.`,
    { headers: { 'Retry-After': '5' } },
    cause,
  );
}

/** The error of a write of which nobody can tell yet whether it is in the database. */
export function outcomeUnknown(cause: UnknownOutcome): BrokerError {
  const detail = isOfServer(cause.cause)
    ? 'The connection to the database was lost while the decision was being committed. Repeat the call with the same Idempotency-Key, or read the current state first.'
    : 'The disk failed while the decision was being committed. Read the current state after the broker has restarted, then decide whether to repeat the call.';
  return new BrokerError('outcome_unknown', detail, { headers: { 'Retry-After': '30' } }, cause);
}

/** The error of a read that the database server did not answer. What its call wrote before is written. */
export function storeUnreachable(cause: unknown): BrokerError {
  const why = whyOf(cause) ?? 'its server does not answer';
  return new BrokerError(
    'store_unreachable',
    `The database cannot be read now, because ${why}; try again later, and repeat a write with the same Idempotency-Key.`,
    { headers: { 'Retry-After': '5' } },
    cause,
  );
}

/**
 * The error of writes that are not begun, until a restart finds that it can write.
 *
 * @param why a sentence about what has happened, with what to do about it
 */
export function storeUnwritable(why: string, cause?: unknown): BrokerError {
  return new BrokerError(
    'store_unwritable',
    `${why} Nothing was written.`,
    { headers: { 'Retry-After': '60' } },
    cause,
  );
}

/** The error of writes to a damaged file. */
export function storeDamaged(found: string, cause?: unknown): BrokerError {
  return new BrokerError(
    'store_damaged',
    `The database file is damaged (${found}), so nothing more is written to it; the operator must restore a backup.`,
    { headers: { 'Retry-After': '60' } },
    cause,
  );
}

/**
 * Why no later write may be begun after this error, or null if the next one is tried. After a disk has failed in a way that
 * says nothing about what is on it, only a new start can tell.
 */
export function stoppedBy(error: unknown): BrokerError | null {
  if (error instanceof TakeoverError) return notRecorded(error);
  const found = error instanceof CheckpointFailed ? error.cause : error;
  if (isDamage(found)) return storeDamaged((found as Error).message, error);
  if (error instanceof FileLost) {
    const why =
      'The database was moved, deleted or replaced; the operator must put it back and restart the broker.';
    return storeUnwritable(why, error);
  }
  const isUnknown = error instanceof UnknownOutcome || error instanceof CheckpointFailed;
  if (isUnknown || isDiskFault(error)) {
    const code = codeOf(isUnknown ? error.cause : error);
    const why = `The disk of the database failed (${code}); the operator must check it and restart the broker.`;
    return storeUnwritable(why, error);
  }
  return null;
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
  return codeOf(error)?.startsWith('SQLITE_BUSY') === true;
}

/** The store refused a statement of the write, so its decision has no record. */
export function isStoreError(error: unknown): boolean {
  return codeOf(error)?.startsWith('SQLITE_') === true || isOfServer(error);
}

function isOfServer(error: unknown): boolean {
  return codeOf(error)?.startsWith('PG_') === true;
}

/** The disk is full or failing, or the server is: no write of this batch can be guaranteed. */
export function isStorageFault(error: unknown): boolean {
  return /^SQLITE_(FULL|IOERR|NOMEM|CORRUPT|NOTADB|READONLY|CANTOPEN)|^PG_(LOST|NOT_REPLICATED|ROLLED_BACK|53|58|25006|XX00[12])/.test(
    codeOf(error) ?? '',
  );
}

/** The disk cannot be relied on. After such an error at the commit, only a restart can tell what is on it. */
export function isDiskFault(error: unknown): boolean {
  return codeOf(error)?.startsWith('SQLITE_IOERR') === true && refusedBySystem(error) === null;
}

/** SQLite has found that the file is not what it has written. */
export function isDamage(error: unknown): boolean {
  return /^(?:SQLITE_(?:CORRUPT|NOTADB)|PG_XX00[12])/.test(codeOf(error) ?? '');
}

/**
 * Notes on an error of SQLite why the system refuses to write into the folder, such as `EROFS`. SQLite itself tells only a
 * full disk apart from one that fails, but also where a system refuses, nothing was written.
 */
export function noteSystemRefusal(error: unknown, refusal: string | null): void {
  if (refusal !== null) (error as { refusedBySystem?: string }).refusedBySystem = refusal;
}

function refusedBySystem(error: unknown): string | null {
  return (error as { refusedBySystem?: string } | null)?.refusedBySystem ?? null;
}

/** For callers, by the refusal of the system or the code of the database. */
const REASONS: readonly { codes: RegExp; says: string }[] = [
  { codes: /^PG_LOST/, says: 'its server does not answer' },
  { codes: /^HEAD_LOST/, says: 'another server answers, which does not have what was read before' },
  { codes: /^PG_53300/, says: 'its server has no connection to spare' },
  { codes: /^PG_25006/, says: 'its server is read-only' },
  { codes: /^(?:SQLITE_FULL|PG_53100|ENOSPC|EFBIG)/, says: 'its disk is full' },
  { codes: /^EDQUOT/, says: 'its disk quota is used up' },
  { codes: /^(?:SQLITE_READONLY|EROFS)/, says: 'its disk is read-only' },
  { codes: /^(?:EACCES|EPERM|SQLITE_CANTOPEN)/, says: 'the broker may not write its files' },
];

function whyOf(cause: unknown): string | undefined {
  return REASONS.find(({ codes }) => codes.test(refusedBySystem(cause) ?? codeOf(cause) ?? ''))?.says;
}

function codeOf(error: unknown): string | null {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : null;
}
