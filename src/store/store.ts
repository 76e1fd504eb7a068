import type { Clock } from '../clock.ts';
import type { BrokerError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { Mark } from './acknowledged.ts';
import type { LogHead } from './log-head.ts';
import type { SignedCheckpointFile } from './signed-checkpoint.ts';
import type { Db } from './statement.ts';
import type { CheckpointReport, WalLimits, WalState } from './wal-checkpoints.ts';
import type { Writer } from './writer.ts';

/**
 * The store: a connection for the writer alone, and read-only ones that never wait for it. No code outside this folder depends on
 * the engine.
 */
export interface Store {
  /** The folder of the archives that inputs of old decisions are in; null if none is configured. */
  archiveFolder: string | null;
  /** The only way to write. */
  writer: Writer;
  /** Reads committed state. Read-only. */
  read: Db;
  /** What this database lacks of the acknowledged log; null if it is complete. */
  loss: Loss | null;
  /**
   * Keeps a signed checkpoint of the log beside the database file, so that a later start notices if the database lacks it. A
   * database server has no such place.
   *
   * @throws Error if it cannot be written
   */
  keepSigned(signed: SignedCheckpointFile): Promise<void>;
  /** The checkpoint that was kept last, or null. */
  signed(): SignedCheckpointFile | null;
  /**
   * Resolves once nothing can undo the log as it was read, up to that head. On a server, reads may see a commit that its standby
   * has not got: one whose wait was cancelled, or was ended by a restart. A later commit that continues it and succeeds shows
   * that it has.
   *
   * @throws BrokerError `store_unreachable`, or why no write may begin: nothing shows it now, or another server answers that
   *   has not got it
   */
  settle(head: Pick<LogHead, 'epoch' | 'size' | 'root'>): Promise<void>;
  /** Refuses every write from now on, because the database lacks what was signed before. Reads go on. */
  stopLacking(detail: string): void;
  /** Refuses every write from now on, because the stored log is not consistent. Reads go on. */
  stopAltered(detail: string): void;
  /** Why a write would be refused now, or null: `restored_copy`, `clock_behind`, `database_in_use`, or a disk that fails. */
  writeRefusal(): Promise<BrokerError | null>;
  /** The state of the write-ahead log; null if a database server has it. */
  wal(): WalState | null;
  /**
   * Whether this broker does the work that needs no more than one of those on the database: on a file it does. To be asked
   * before each piece of such work.
   */
  isScheduler(): Promise<boolean>;
  /**
   * Calls `look` once, and within a second after others have written, until the store is closed. One that fails is repeated.
   * On a file there are no others.
   *
   * @param onFault called with the first error of several in a row
   */
  follow(look: () => Promise<void>, onFault: (error: unknown) => void): void;
  /**
   * Rewrites what has secrets, which removes all remains of overwritten and deleted data. For use at startup only: there MUST NOT
   * be concurrent reads or writes, and it takes time and disk space in proportion to the size of the file.
   *
   * @throws Error if there is not enough disk space
   */
  rewrite(): Promise<void>;
  /** Finishes pending writes, then closes all connections. */
  close(): Promise<void>;
}

/** The finding that a database is an older copy, or has another history. */
export interface Loss {
  /** A sentence for the operator. */
  detail: string;
  /** The mark beside the database, or null if there is none that can be read. */
  mark: Mark | null;
  /** The highest known checkpoint of the log, or null if none was kept. */
  signed: SignedCheckpointFile | null;
}

/** How a store is opened. */
export interface StoreOptions {
  /** The path of the SQLite file, or the address of a PostgreSQL database. */
  file: string;
  /** The folder of the archives that inputs of old decisions are in. */
  archiveFolder?: string | undefined;
  /** The source of the time of each write. */
  clock: Clock;
  /**
   * Called once if the store takes no more writes: the outcome of a commit is unknown, the file is damaged or was taken away.
   * After the fence was raised, this process MUST stop, because its caches are stale.
   */
  onFailure?: (error: unknown) => void;
  /** Called with the error of a listener after a commit. */
  onListenerFailure?: (error: unknown) => void;
  /** Called with what became of each checkpoint of the write-ahead log. */
  onWalCheckpoint?: (report: CheckpointReport) => void;
  /** Limits of the write-ahead log. */
  walLimits?: WalLimits;
  /**
   * Ends all brokers that have the database open, for an act of an operator: what they remember may not hold after it. On a file
   * there are none.
   */
  exclusive?: boolean;
  /** Writes although the database lacks what was acknowledged; for a confirmed restore only. */
  acceptsLoss?: boolean;
  /** With a log, a large file is checked for damage after it was opened. */
  log?: Logger;
}
