import { statSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import Sqlite from 'better-sqlite3';
import type { Logger } from '../logger.ts';

/*
 * Looks for damage at the start, by SQLite's quick check, which reads the whole file. A small file is checked before anything
 * is written to it. A large one would hold the start up, so it is checked in a thread of its own while the broker serves.
 */

/** The size up to which the start waits for the check: about a tenth of a second. */
const CHECKED_FIRST_BYTES = 64 * 1024 * 1024;

/** Whether the start waits for the check of a file. */
export function isCheckedFirst(file: string): boolean {
  return (statSync(file, { throwIfNoEntry: false })?.size ?? 0) <= CHECKED_FIRST_BYTES;
}

/** @throws Error with the code `SQLITE_CORRUPT` and what was found */
export function assertUndamaged(connection: Sqlite.Database): void {
  const found = connection.pragma('quick_check(1)', { simple: true });
  if (found !== 'ok') throw Object.assign(new Error(String(found)), { code: 'SQLITE_CORRUPT' });
}

/** What the thread says: a table that is sound, what it found, or that it has finished. */
export type CheckMessage = { table: string } | { found: string } | { done: true };

/** Checks a file table by table, so that no read lasts longer than that of its largest table. For the thread. */
export function checkTables(file: string, say: (message: CheckMessage) => void): void {
  const connection = new Sqlite(file, { readonly: true });
  try {
    const names = connection.prepare("select name from sqlite_master where type = 'table'").pluck().all();
    for (const table of names as string[]) {
      const quoted = `"${table.replaceAll('"', '""')}"`;
      const found = connection.pragma(`quick_check(${quoted})`, { simple: true });
      say(found === 'ok' ? { table } : { found: String(found) });
      if (found !== 'ok') return;
    }
    say({ done: true });
  } finally {
    connection.close();
  }
}

/** A check that runs. */
export interface RunningCheck {
  /** Ends it after the table that it reads. */
  stop(): Promise<void>;
}

/** Checks a file while the broker serves. @param onDamage called with what was found */
export function checkInThread(
  file: string,
  { log, onDamage }: { log: Logger; onDamage: (found: string) => void },
): RunningCheck {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const worker = new Worker(new URL(`./check-worker.${extension}`, import.meta.url), {
    workerData: file,
    env: {},
    execArgv: [],
  });
  worker.unref();
  log.info(
    { bytes: statSync(file).size },
    'the database is being checked for damage while the broker serves',
  );
  worker.on('message', (message: CheckMessage) => {
    if ('found' in message) onDamage(message.found);
    else if ('table' in message) log.debug({ table: message.table }, 'a table of the database is sound');
    else log.info('the database was checked and is sound');
  });
  worker.on('error', (error) => {
    if (/^SQLITE_(CORRUPT|NOTADB)/.test(String((error as { code?: unknown }).code))) onDamage(error.message);
    else log.error({ err: error }, 'the database could not be checked for damage');
  });
  return {
    stop: async () => {
      await worker.terminate();
    },
  };
}
