import { fdatasyncSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import Sqlite from 'better-sqlite3';
import type {
  CheckpointAnswer,
  CheckpointProgress,
  CheckpointStep,
  CheckpointTask,
} from './wal-checkpoints.ts';

/*
 * The thread of checkpoints (`wal-checkpoints.ts`). All that waits for the disk at a checkpoint waits here.
 */

const port = parentPort;
if (port === null) throw new Error('this file is the thread of checkpoints');

const { file, databaseFile, keepBytes } = workerData as CheckpointTask;

/** Checkpoints, and begins the log anew. */
const connection = open();
/**
 * Reads a state of the log, so that the log is not begun anew by the next commit on the other thread: whoever writes its first
 * page waits until the disk has its header.
 */
const guard = open();

function open(): Sqlite.Database {
  const opened = new Sqlite(file, { timeout: 0 });
  // Also of the log before its pages are copied, and of the database before the log is begun anew.
  opened.pragma('synchronous = FULL');
  opened.pragma('wal_autocheckpoint = 0');
  // A log that a long reader let grow shrinks when it is begun anew.
  opened.pragma(`journal_size_limit = ${keepBytes}`);
  return opened;
}

function raiseGuard(): void {
  if (guard.inTransaction) return;
  guard.exec('begin');
  guard.prepare('select count(*) from sqlite_master').get();
}

function lowerGuard(): void {
  if (guard.inTransaction) guard.exec('commit');
}

function checkpoint(mode: 'PASSIVE' | 'RESTART'): CheckpointProgress {
  const [row] = connection.pragma(`wal_checkpoint(${mode})`) as [
    { busy: number; log: number; checkpointed: number },
  ];
  return { pages: row.log, copied: row.checkpointed, isBlocked: row.busy !== 0 };
}

/** Copies what it can while writes go on. */
function copy(): CheckpointProgress {
  raiseGuard();
  const answer = checkpoint('PASSIVE');
  // SQLite does so only once everything is copied, which is when writes wait.
  fdatasyncSync(databaseFile);
  return answer;
}

/** Copies the rest, and begins the log anew. The other thread begins no transaction meanwhile. */
function restart(): CheckpointProgress {
  lowerGuard();
  const answer = checkpoint('RESTART');
  try {
    // Changes nothing: writes the first page of the database as it is, and so the header of the log.
    connection.pragma(`user_version = ${connection.pragma('user_version', { simple: true })}`);
  } catch (error) {
    if (!isBusy(error)) throw error;
    answer.isBlocked = true;
  }
  if (answer.isBlocked) raiseGuard();
  return answer;
}

function isBusy(error: unknown): boolean {
  return String((error as { code?: unknown }).code).startsWith('SQLITE_BUSY');
}

const STEPS: Readonly<Record<Exclude<CheckpointStep, 'stop'>, () => CheckpointProgress>> = { copy, restart };

port.on('message', (step: CheckpointStep) => {
  if (step === 'stop') {
    guard.close();
    connection.close();
    port.close();
    return;
  }
  try {
    port.postMessage(STEPS[step]());
  } catch (error) {
    const { code, message } = error as Error & { code?: string };
    port.postMessage({ error: { code: code ?? '', message } } satisfies CheckpointAnswer);
  }
});
