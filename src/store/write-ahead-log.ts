import { closeSync, openSync } from 'node:fs';
import type Sqlite from 'better-sqlite3';
import { neverSleep } from './connection.ts';
import {
  type CheckpointReport,
  type Checkpoints,
  createCheckpoints,
  type WalLimits,
} from './wal-checkpoints.ts';
import { openWalFile } from './wal-file.ts';

/*
 * The write-ahead log of the writing connection. SQLite would synchronize it at each commit and copy it after some, on the
 * thread that answers. Here others do both (`wal-file.ts`, `wal-checkpoints.ts`).
 */

/** The write-ahead log. */
export interface WriteAheadLog extends Pick<Checkpoints, 'beforeBatch' | 'refusal' | 'state'> {
  /** Makes what was committed durable. */
  sync(): Promise<void>;
  /** Ends the thread of checkpoints, which another checkpoint starts again. */
  rest(): Promise<void>;
  /** For after the connections are closed. */
  close(): void;
}

/**
 * Copies what a former process left in the log, with all that this takes of synchronization. It may have failed to make some of
 * it durable, which nobody notices a second time; what is copied is written anew.
 */
export function copyFormerLog(connection: Sqlite.Database): void {
  connection.pragma('wal_checkpoint(TRUNCATE)');
}

/** Takes the log over from SQLite. The connection MUST have written something, so that the log has its header. */
export function takeLog(
  connection: Sqlite.Database,
  options: {
    wake: () => void;
    report: (report: CheckpointReport) => void;
    limits?: WalLimits | undefined;
  },
): WriteAheadLog {
  // NORMAL: a commit is not synchronized. What is necessary against damage still is.
  connection.pragma('synchronous = NORMAL');
  connection.pragma('wal_autocheckpoint = 0');
  neverSleep(connection);
  const look = connection.prepare('pragma wal_checkpoint(NOOP)');
  const file = openWalFile(connection.name);
  // Kept open until the connections are closed: the system ends all locks of a process on a file when it closes one descriptor.
  const databaseFile = openSync(connection.name, 'r');
  const checkpoints = createCheckpoints({
    file: connection.name,
    databaseFile,
    pageBytes: Number(connection.pragma('page_size', { simple: true })),
    pagesInLog: () => (look.get() as { log: number }).log,
    wake: options.wake,
    report: options.report,
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  });
  return {
    sync: file.sync,
    beforeBatch: checkpoints.beforeBatch,
    refusal: checkpoints.refusal,
    state: checkpoints.state,
    rest: checkpoints.stop,
    close: () => {
      file.close();
      closeSync(databaseFile);
    },
  };
}
