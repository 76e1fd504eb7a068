import { setTimeout } from 'node:timers/promises';
import { CompiledQuery } from 'kysely';
import { type BatchStart, type StartRow, startOf, startQuery } from '../batch-start.ts';
import { raiseFence } from '../log-head.ts';
import type { Db } from '../statement.ts';
import type { Transactions } from '../transactions.ts';
import { databaseLocked, TakeoverError, UnknownOutcome } from '../write-faults.ts';
import { LOST, NOT_REPLICATED, PostgresFault } from './faults.ts';
import { CHANNEL } from './others.ts';

/*
 * The transactions of the writer on PostgreSQL. Each takes the lock on the log's head first, so writers are serial, and what a
 * decision depends on is read after it: with READ COMMITTED each statement sees everything that was committed before.
 */

/** The locking statement reads nothing but the head: the rows of other tables would be older than the lock. */
const LOCK_HEAD = 'select * from log_head where id = 1 for update';

/**
 * All settings are of the transaction: a pooler may give the next one another session. The server ends a transaction whose
 * broker is gone or stopped, which frees the head. A commit that is not to wait for the disk would lose what was acknowledged;
 * one that waits for more than that keeps doing so.
 */
const BEGIN = [
  'begin isolation level read committed',
  "set local lock_timeout = '5s'",
  "set local statement_timeout = '10s'",
  "set local idle_in_transaction_session_timeout = '10s'",
  'set local client_min_messages = warning',
  `select set_config('synchronous_commit',
    case current_setting('synchronous_commit') when 'remote_apply' then 'remote_apply' else 'on' end, true)`,
  LOCK_HEAD,
].join('; ');

/** The longest pause between two tries to find out what became of a batch. */
const LONGEST_PAUSE_MS = 1000;

/** The lock was not to be had in time. */
const LOCK_NOT_AVAILABLE = 'PG_55P03';

/**
 * The transactions of one writer.
 *
 * @param db its connections: one writes, another asks about a lost one
 * @param writer its id, a UUID
 */
export function postgresTransactions(db: Db, writer: string): Transactions {
  /** The number of the last batch that was to be committed. */
  let batch = 0;

  async function begin(connection: Db): Promise<BatchStart> {
    try {
      // One message for all. Each statement of it sees what was committed before it begins, so the last one sees all that was
      // committed before the lock was taken.
      const rows = await run<StartRow>(connection, `${BEGIN}; ${startQuery(connection).sql}`);
      return startOf(rows[0]);
    } catch (error) {
      throw hasCode(error, LOCK_NOT_AVAILABLE) ? databaseLocked(error) : error;
    }
  }

  /** Asks under the lock of the head, which the lost connection held: its transaction has ended, either way. */
  async function ask(): Promise<'committed' | 'undone'> {
    return db.connection().execute(async (connection) => {
      try {
        await begin(connection);
        const [note] = await run<{ batch: number }>(
          connection,
          `select batch from writers where writer = '${writer}'`,
        );
        // It was removed while this process was stopped, and with it the answer.
        if (note === undefined) throw new TakeoverError();
        // It has to write: then its own commit shows that what was committed before is where it has to be, too.
        await run(
          connection,
          `insert into writers (writer, batch, asked) values ('${writer}', 0, 1)
            on conflict (writer) do update set asked = writers.asked + 1; commit`,
        );
        return note.batch === batch ? 'committed' : 'undone';
      } catch (error) {
        await run(connection, 'rollback').catch(() => undefined);
        throw error;
      }
    });
  }

  return {
    begin,
    commit: async (connection) => {
      batch += 1;
      const note = `insert into writers (writer, batch, asked) values ('${writer}', ${batch}, 0)
        on conflict (writer) do update set batch = excluded.batch`;
      try {
        await run(connection, `${note}; notify ${CHANNEL}, '${writer}'; commit`);
      } catch (error) {
        if (hasCode(error, LOST) || hasCode(error, NOT_REPLICATED)) throw new UnknownOutcome(error);
        // How severe it is, the server says in its own language: after a panic, which leaves the commit open, it answers no more.
        await run(connection, 'rollback').catch(() => {
          throw new UnknownOutcome(error);
        });
        throw error;
      }
    },
    rollback: async (connection) => {
      await run(connection, 'rollback');
    },
    findOutcome: async (signal) => {
      for (let pauseMs = 10; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
        try {
          return await ask();
        } catch (error) {
          if (error instanceof TakeoverError) throw error;
          // The server is not back yet, or not the one that may be asked.
          await setTimeout(pauseMs, undefined, { signal });
        }
      }
    },
  };
}

/**
 * Raises the fence, which ends every writer that was open before.
 *
 * @returns the new fence
 * @throws BrokerError `database_in_use` if another session does not give the lock on the head
 */
export async function takeOver(db: Db): Promise<number> {
  try {
    return await db.transaction().execute(async (tx) => {
      await run(tx, "set local lock_timeout = '5s'");
      return raiseFence(tx);
    });
  } catch (error) {
    throw hasCode(error, LOCK_NOT_AVAILABLE) ? databaseLocked(error) : error;
  }
}

/** Runs statements without parameters. @returns the rows of the last */
async function run<R>(connection: Db, text: string): Promise<R[]> {
  return (await connection.executeQuery<R>(CompiledQuery.raw(text))).rows;
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof PostgresFault && error.code === code;
}
