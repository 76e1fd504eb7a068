import type { BatchStart } from './batch-start.ts';
import type { Db } from './statement.ts';

/** The beginning and the end of the writer's transactions. Each engine does both in its own way. */
export interface Transactions {
  /**
   * Begins one, once no other writer has one.
   *
   * @returns the head of the log, which nobody else can change before the end, and what was read after it was locked
   * @throws BrokerError `database_in_use` if another writer does not end its own
   */
  begin(connection: Db): Promise<BatchStart>;
  /**
   * Commits, and resolves once nothing can undo it. Until then nobody sees what was written.
   *
   * @throws UnknownOutcome if it may or may not have been committed
   */
  commit(connection: Db): Promise<void>;
  rollback(connection: Db): Promise<void>;
  /**
   * Finds out whether the last transaction was committed, if that is unknown, however long this takes. Absent where only a new
   * start can tell.
   *
   * @throws TakeoverError if this writer can no longer find out; Error once the signal aborts
   */
  findOutcome?(signal: AbortSignal): Promise<'committed' | 'undone'>;
}
