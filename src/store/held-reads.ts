import type Sqlite from 'better-sqlite3';

/** Keeps a reading connection at the state that it sees, however much is committed meanwhile. */
export interface HeldReads {
  /** Every read until {@link HeldReads.release} sees the state of this moment. Calls nest, and share the outermost state. */
  hold(): void;
  release(): void;
}

/** @param connection one that reads only */
export function createHeldReads(connection: Sqlite.Database): HeldReads {
  const begin = connection.prepare('begin');
  const end = connection.prepare('commit');
  // A transaction has its state from its first read on.
  const look = connection.prepare('select count(*) from log_head').pluck();
  let holders = 0;

  return {
    hold: () => {
      if (holders === 0) {
        begin.run();
        try {
          look.get();
        } catch (error) {
          end.run();
          throw error;
        }
      }
      holders += 1;
    },
    release: () => {
      holders -= 1;
      if (holders === 0) end.run();
    },
  };
}
