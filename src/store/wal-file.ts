import { closeSync, fdatasync, fstatSync, openSync } from 'node:fs';

/** The write-ahead log as a file, to make commits durable without SQLite, which would do it on the thread that answers. */
export interface WalFile {
  /**
   * Makes everything that was committed before this call durable, on another thread.
   *
   * After a rejection nothing is known about what was committed, and a second call that succeeds proves nothing: the system
   * reports a fault once, and may then take the lost pages for written.
   */
  sync(): Promise<void>;
  close(): void;
}

/** Where SQLite keeps the write-ahead log of a database. It is one file for as long as a connection is open. */
export function walPath(database: string): string {
  return `${database}-wal`;
}

/** Opens the log of a database that has been written to. Faults from now on are reported to {@link WalFile.sync}. */
export function openWalFile(database: string): WalFile {
  const path = walPath(database);
  const file = openSync(path, 'r+');
  return {
    sync: () =>
      new Promise((resolve, reject) => {
        fdatasync(file, (error) => {
          if (error !== null) reject(error);
          else if (fstatSync(file).nlink === 0) reject(deleted(path));
          else resolve();
        });
      }),
    close: () => closeSync(file),
  };
}

/** A restart does not find what is in a file without a name. */
function deleted(path: string): Error {
  return Object.assign(new Error(`${path} was deleted while the broker was running`), { code: 'ENOENT' });
}
