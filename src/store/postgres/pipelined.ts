import { CompiledQuery, type DatabaseConnection, PostgresDriver, type QueryResult } from 'kysely';
import { createDeferredRows } from '../deferred.ts';
import { createSettledReads } from '../settled.ts';
import { type Answer, assertCertain, type Direct, runDirectly } from '../statement.ts';

/*
 * The connections of the writer. To wait for an answer of a server costs more than most statements take there, so a statement
 * that answers nothing (a savepoint, an insert) is sent along with what comes next, and its fault is thrown there. Nothing is
 * sent along with the end of a transaction: behind it, a pooler would give it to another session.
 */

/** The statements after which a transaction that had failed goes on, or is over. */
const UNDOING = /^(?:begin|rollback)\b/;
/** Those of them that are about all of it. */
const ENDING = /^(?:begin\b|rollback$)/;

/** A driver whose connections the statements of a batch use directly. */
export class PipelinedDriver extends PostgresDriver {
  readonly #inner = new WeakMap<DatabaseConnection, PostgresConnection>();

  override async acquireConnection(options?: AcquireOptions): Promise<DatabaseConnection> {
    const acquired = await super.acquireConnection(options);
    const connection = pipelined(acquired);
    this.#inner.set(connection, acquired as PostgresConnection);
    return connection;
  }

  override async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    await super.rollbackTransaction(this.#innerOf(connection));
  }

  override async releaseConnection(connection: DatabaseConnection): Promise<void> {
    await super.releaseConnection(this.#innerOf(connection));
  }

  #innerOf(connection: DatabaseConnection): PostgresConnection {
    const found = this.#inner.get(connection);
    if (found === undefined) throw new Error('this connection is of another driver');
    return found;
  }
}

type AcquireOptions = Parameters<PostgresDriver['acquireConnection']>[0];
type PostgresConnection = Parameters<PostgresDriver['releaseConnection']>[0];

function pipelined(connection: DatabaseConnection): DatabaseConnection {
  const settled = createSettledReads();
  const deferred = createDeferredRows();
  /** The first fault since the last rollback: what comes after it fails for no other reason. */
  let first: { error: unknown } | null = null;
  /** What nobody has waited for. None of it rejects. */
  let sent: Promise<void>[] = [];
  /**
   * A statement of the transaction that nobody waited for has failed, or has changed other rows than is certain. Its write may
   * have gone on, and a later one have been told: so this stays until the end of the transaction, which it prevents.
   */
  let unnoticed: { error: unknown } | null = null;

  /** Is sent before this returns, after the rows that it may read. */
  async function execute<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    settled.note(query.sql);
    deferred.note(query.sql);
    if (UNDOING.test(query.sql)) first = null;
    if (ENDING.test(query.sql)) {
      sent = [];
      unnoticed = null;
    }
    try {
      const result = await connection.executeQuery<R>(query);
      first = null;
      return result;
    } catch (error) {
      first ??= { error };
      throw first.error;
    }
  }

  const on: Direct = {
    run: async (text, parameters) => {
      const { rows, numAffectedRows } = await execute(CompiledQuery.raw(text, [...parameters]));
      return { rows, affected: Number(numAffectedRows ?? 0n) };
    },
    send: (text, parameters, certain) => {
      if (first !== null && !UNDOING.test(text)) throw first.error;
      const answer = on.run(text, parameters) as Promise<Answer>;
      const checked = answer.then(({ affected }) => assertCertain(affected, certain));
      sent.push(
        checked.catch((error: unknown) => {
          unnoticed ??= { error };
        }),
      );
    },
    answered: async () => {
      await Promise.all(sent);
      const fault = first ?? unnoticed;
      if (fault !== null) throw fault.error;
    },
    settled,
    deferred,
  };
  const own: DatabaseConnection = {
    executeQuery: execute,
    streamQuery: (...options) => connection.streamQuery(...options),
  };
  runDirectly(own, on);
  return own;
}
