import {
  CompiledQuery,
  HandleEmptyInListsPlugin,
  Kysely,
  PostgresDialect,
  PostgresDriver,
  type PostgresPool,
  type PostgresPoolClient,
  replaceWithNoncontingentExpression,
} from 'kysely';
import { Pool, type PoolClient, types } from 'pg';
import { addressFault } from '../database-address.ts';
import type { Schema } from '../schema.ts';
import { storeUnreachable } from '../write-faults.ts';
import { faultOf, LOST, NOT_REPLICATED, POOLED, PostgresFault, ROLLED_BACK } from './faults.ts';
import { PipelinedDriver } from './pipelined.ts';

/*
 * Connections to a PostgreSQL server, and Kysely over them. Nothing of a session is relied on, so a pooler that gives each
 * transaction another session (PgBouncer) may be between.
 */

/** How long a new connection may take. */
const CONNECT_MS = 5000;
/** How long an answer may take before the server counts as gone. Longer than the server's own limits in a transaction. */
const ANSWER_MS = 20_000;

const INT8 = 20;
const NUMERIC = 1700;

/** A whole number of the database: it is a time, a place or a count, none of which is beyond what a number can hold. */
function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new Error(`the database holds ${text}, which is no safe integer`);
  return value;
}

const parsers = {
  getTypeParser: (type: number, format?: 'text' | 'binary') =>
    type === INT8 || type === NUMERIC ? wholeNumber : types.getTypeParser(type, format as 'text'),
};

/** Opens a pool of connections to the primary server. A statement need not wait for the answer of the one before. */
export function openPool(address: string, { max }: { max: number }): Pool {
  return createPool(address, { max, query_timeout: ANSWER_MS, pipeline: true });
}

/**
 * How long a change of the schema waits for those who use the tables. No server has this number by itself: it is found again
 * in a session that nothing is between.
 */
const SCHEMA_LOCK_MS = 60_007;

/**
 * Opens a pool for what needs sessions of its own, and may take long.
 *
 * @throws Error if the address leads through a pooler, which does not pass on the settings of a session
 */
export async function openDirectPool(address: string): Promise<Pool> {
  const pool = createPool(address, { max: 2, lock_timeout: SCHEMA_LOCK_MS });
  try {
    const { rows } = await pool.query<{ setting: string }>(
      "select setting from pg_settings where name = 'lock_timeout'",
    );
    if (rows[0]?.setting !== String(SCHEMA_LOCK_MS)) throw new PostgresFault(POOLED, NEEDS_DIRECT);
    return pool;
  } catch (error) {
    await pool.end();
    const isRefused = /unsupported startup parameter/.test((error as Error).message);
    throw isRefused ? new PostgresFault(POOLED, NEEDS_DIRECT, error) : faultOf(error);
  }
}

const NEEDS_DIRECT =
  'a pooler is between, and a change of the schema needs a session of its own. Run "countersign migrate --database ADDRESS" with a direct address of the server, then start again';

function createPool(
  address: string,
  options: { max: number; query_timeout?: number; pipeline?: boolean; lock_timeout?: number },
): Pool {
  const fault = addressFault(address);
  if (fault !== null) throw new Error(fault);
  const pool = new Pool({
    connectionString: address,
    types: parsers as never,
    keepAlive: true,
    connectionTimeoutMillis: CONNECT_MS,
    ...options,
    application_name: 'countersign',
    verify: (client, done) => {
      // Nobody else listens yet, and a connection that ends here would end the process.
      client.on('error', () => undefined);
      assertPrimary(client).then(
        () => done(),
        (error: Error) => done(error),
      );
    },
  });
  // An idle connection that ends is replaced by the next use.
  pool.on('error', () => undefined);
  return pool;
}

/** After a failover the same address may lead to a standby: it takes no writes, and what it shows may be old. */
async function assertPrimary(client: PoolClient): Promise<void> {
  const { rows } = await client.query<{ standby: boolean }>('select pg_is_in_recovery() as standby');
  if (rows[0]?.standby !== false)
    throw new PostgresFault(
      LOST,
      'the database server is a standby, which is read-only: name the primary server, or an address that follows it',
    );
}

/** SQLite takes a list without values, which is nothing PostgreSQL can read. */
const PLUGINS = [new HandleEmptyInListsPlugin({ strategy: replaceWithNoncontingentExpression })];

/** Kysely over a pool, for the writer. */
export function kyselyOver(pool: Pool): Kysely<Schema> {
  const config = { pool: guardedPool(pool) };
  const dialect = Object.assign(new PostgresDialect(config), {
    createDriver: () => new PipelinedDriver(config),
  });
  return new Kysely<Schema>({ dialect, plugins: PLUGINS });
}

/** Kysely over a pool, for reads only. A transaction sees one state. */
export function readsOver(pool: Pool): Kysely<Schema> {
  const config = { pool: guardedPool(pool, { check: assertRead, told: toldOfRead }) };
  const dialect = Object.assign(new PostgresDialect(config), {
    createDriver: () => Object.assign(new PostgresDriver(config), { beginTransaction: beginReads }),
  });
  return new Kysely<Schema>({ dialect, plugins: PLUGINS });
}

const beginReads: PostgresDriver['beginTransaction'] = async (connection) => {
  await connection.executeQuery(CompiledQuery.raw(BEGIN_READS));
};

const BEGIN_READS = 'begin isolation level repeatable read read only';

/** The connection of reads is shared by all, and a write there would not meet the log's head. */
function assertRead(text: string): void {
  if (/^(?:select|with|commit|rollback)\b/i.test(text) || text === BEGIN_READS) return;
  throw new PostgresFault('PG_25006', 'a connection for reads does not write');
}

/** Faults that pass, such as a failover: whoever reads is told to try again. */
const PASSING = /^PG_(?:LOST|53|57014|58|55P03)/;

function toldOfRead(fault: PostgresFault): Error {
  return PASSING.test(fault.code) ? storeUnreachable(fault) : fault;
}

/** What a connection may be used for, and as what its faults are thrown. */
interface Use {
  check(text: string): void;
  told(fault: PostgresFault): Error;
}

const ANY_USE: Use = { check: () => undefined, told: (fault) => fault };

function guardedPool(pool: Pool, use = ANY_USE): PostgresPool {
  return {
    options: pool.options,
    connect: async () => {
      try {
        return guardedClient(await pool.connect(), use);
      } catch (error) {
        throw use.told(faultOf(error));
      }
    },
    end: () => pool.end(),
  };
}

/** A connection that says what went wrong in one form, and is not used again after it may be out of step. */
function guardedClient(client: PoolClient, { check, told }: Use): PostgresPoolClient {
  let isLost = false;
  // Without a listener, a connection that ends while it is in use would end the process.
  const onError = () => {
    isLost = true;
  };
  client.on('error', onError);
  const query = async (text: string, parameters: readonly unknown[]) => {
    check(text);
    // Behind a statement without an answer, another one would wait as long.
    if (isLost) throw told(new PostgresFault(LOST, 'the connection to the database server was lost'));
    try {
      return text.endsWith('commit') ? await commit(client, text) : await run(client, text, parameters);
    } catch (error) {
      const fault = faultOf(error);
      if (fault.code === LOST) isLost = true;
      throw told(fault);
    }
  };
  return {
    query: query as PostgresPoolClient['query'],
    release: (destroy) => {
      client.off('error', onError);
      client.release(destroy === true || isLost);
    },
  };
}

/** Several statements without parameters may be one text: the answer is that of the last. */
async function run(client: PoolClient, text: string, parameters: readonly unknown[]) {
  const answer = await client.query(text, [...parameters]);
  return Array.isArray(answer) ? answer.at(-1) : answer;
}

/**
 * Commits. A commit of a transaction that had failed is answered as a success, but with another word; and where the server
 * stopped waiting for its standby, a warning is all that says so.
 */
async function commit(client: PoolClient, text: string) {
  let warning: string | null = null;
  const onNotice = ({ message }: { message: string | undefined }) => {
    warning = message ?? 'a warning without text';
  };
  client.on('notice', onNotice);
  try {
    const answer = await run(client, text, []);
    if (answer.command !== 'COMMIT') throw new PostgresFault(ROLLED_BACK, 'the server undid the transaction');
    if (warning !== null)
      throw new PostgresFault(NOT_REPLICATED, `at a commit the server warned: ${warning}`);
    return answer;
  } finally {
    client.off('notice', onNotice);
  }
}
