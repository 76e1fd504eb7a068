import {
  CompiledQuery,
  type DatabaseConnection,
  type InsertQueryBuilder,
  type InsertResult,
  type Kysely,
} from 'kysely';
import { createDeferredRows, type DeferredRows, type DeferredTable } from './deferred.ts';
import type { Schema } from './schema.ts';
import { createSettledReads, type SettledReads, type SettledTable } from './settled.ts';

/** A connection for reads or writes: the database, or the transaction of one write. */
export type Db = Kysely<Schema>;

declare const insideWrite: unique symbol;
/** The open transaction of a write. Only the writer creates one, so a function that takes it cannot run outside. */
export type Tx = Db & { readonly [insideWrite]: true };

/** What a statement has read or changed. */
export interface Answer {
  rows: unknown[];
  affected: number;
}

/** Runs one statement on the connection of a `Db`. */
export type RunStatement = (sql: string, parameters: readonly unknown[]) => Answer | Promise<Answer>;

/** A connection as the statements of this file use it. */
export interface Direct {
  run: RunStatement;
  /**
   * Runs a statement that answers nothing. Where each answer takes its time, nobody waits for this one: its fault is thrown by
   * what waits next, which may be of another write, and in any case by `answered`.
   *
   * @throws Error at the latest if a statement has failed since the last rollback
   */
  send(sql: string, parameters: readonly unknown[], certain?: Certain): void;
  /** Waits for all that was sent. @throws Error the first fault, or that one changed other rows than is certain */
  answered(): Promise<void>;
  /** What a batch has read of settled tables. */
  settled: SettledReads;
  /** What a batch inserts at its end. */
  deferred: DeferredRows;
}

/** Runs statements without Kysely's layers, whose promises cost about as much as the statement itself. */
const direct = new WeakMap<object, Direct>();

/**
 * Lets the statements of this file run directly on the connection of a `Db`.
 *
 * @param owner the `Db`, if it has one connection, or else the connection of its driver
 * @param on takes note of all its statements
 */
export function runDirectly(owner: Db | DatabaseConnection, on: Direct): void {
  direct.set(owner, on);
}

/** A connection that answers each statement at once. */
export function answersAtOnce(
  run: (sql: string, parameters: readonly unknown[]) => Answer,
  { settled, deferred }: Pick<Direct, 'settled' | 'deferred'> = {
    settled: createSettledReads(),
    deferred: createDeferredRows(),
  },
): Direct {
  const send: Direct['send'] = (sql, parameters, certain) =>
    assertCertain(run(sql, parameters).affected, certain);
  return { run, send, answered: async () => undefined, settled, deferred };
}

/** Begins a batch: what its writes have read of settled tables holds for the next ones, and their rows may wait for its end. */
export function beginBatch(tx: Tx): void {
  const found = direct.get(tx);
  found?.settled.begin(tx);
  found?.deferred.begin(tx);
}

/** Whether a batch remembers what it has read. */
export function remembers(tx: Tx): boolean {
  return direct.has(tx);
}

/**
 * Begins a write of the batch.
 *
 * @returns to be called once what it changed is rolled back
 */
export function beginWrite(tx: Tx): () => void {
  const found = direct.get(tx);
  if (found === undefined) return () => undefined;
  const { deferred, settled } = found;
  const waiting = deferred.mark();
  settled.beginWrite();
  return () => {
    deferred.restore(waiting);
    settled.undo();
  };
}

/** Waits for the statements of a batch that nobody has waited for. @throws Error if one of them has failed */
export async function answered(tx: Tx): Promise<void> {
  await direct.get(tx)?.answered();
}

/** Inserts the rows that wait for the end of the batch. */
export function insertDeferred(tx: Tx): void {
  direct.get(tx)?.deferred.flush();
}

/** Ends a batch, however. */
export function endBatch(tx: Tx): void {
  direct.get(tx)?.deferred.end();
}

/** Lets them run directly for a transaction, if they do on the connection of that `Db`, or on that of the transaction. */
export async function runLike(tx: Db, db: Db): Promise<void> {
  const ofConnection = () => tx.getExecutor().provideConnection(async (connection) => direct.get(connection));
  const found = direct.get(db) ?? (await ofConnection());
  if (found !== undefined) direct.set(tx, found);
}

/** The placeholder of a named parameter in a compiled query. */
interface Marker {
  readonly parameter: string;
}

/** Names a parameter while a statement is built. */
export type Parameter<P> = <K extends keyof P & string>(name: K) => P[K];

/**
 * A query that is built and compiled once and then only bound. Building a Kysely query costs more than running it (about
 * 25 µs compared with 5 µs), and the hot statements of a write run thousands of times per second.
 *
 * `build` runs once per engine with markers in place of values; every value that varies MUST come from `parameter`.
 *
 * A statement with parameters that runs in each write should have neither `order by` nor `limit`: SQLite would plan it
 * again for each binding (11 to 17 µs or more). Sort small results afterwards instead.
 */
export function statement<P extends object, R = unknown>(
  build: (db: Db, parameter: Parameter<P>) => { compile(): CompiledQuery<R> },
): (db: Db, values: P) => Promise<{ rows: R[]; affected: number }> {
  const bind = binding(build);
  return async (db, values) => {
    const query = bind(db, values);
    const run = direct.get(db)?.run;
    if (run !== undefined) return (await run(query.sql, query.parameters)) as { rows: R[]; affected: number };
    const result = await db.executeQuery<R>(query);
    return { rows: result.rows, affected: Number(result.numAffectedRows ?? 0n) };
  };
}

/**
 * A {@link statement} that changes as many rows as its caller says. Where each answer takes its time, nobody waits for this one:
 * a fault, or another number of rows, is thrown at the end of the batch, whose writes are then written each alone.
 *
 * @throws Error if it changes more or fewer rows; in the writing transaction that is a programming error
 */
export function certainStatement<P extends object>(
  build: (db: Db, parameter: Parameter<P>) => { compile(): CompiledQuery<unknown> },
): (tx: Tx, values: P, certain: Certain) => Promise<void> {
  const bind = binding(build);
  return async (tx, values, certain) => {
    const query = bind(tx, values);
    const on = direct.get(tx);
    if (on !== undefined) on.send(query.sql, query.parameters, certain);
    else assertCertain(Number((await tx.executeQuery(query)).numAffectedRows ?? 0n), certain);
  };
}

/** What a statement is certain to change. */
export interface Certain {
  rows: number;
  /** What it means if it changes more or fewer. */
  otherwise: string;
}

/** @throws Error if it has changed more or fewer rows */
export function assertCertain(affected: number, certain: Certain | undefined): void {
  if (certain !== undefined && affected !== certain.rows) throw new Error(certain.otherwise);
}

/** Builds and compiles a query when it is first used on an engine, and binds it. */
function binding<P extends object, R>(
  build: (db: Db, parameter: Parameter<P>) => { compile(): CompiledQuery<R> },
): (db: Db, values: P) => CompiledQuery<R> {
  const compiled = new WeakMap<object, CompiledQuery<R>>();
  const parameter: Parameter<P> = (name) => ({ parameter: name }) as never;

  return (db, values) => {
    const engine = db.getExecutor().adapter;
    let query = compiled.get(engine);
    if (query === undefined) {
      query = build(db, parameter).compile();
      compiled.set(engine, query);
    }
    const parameters = query.parameters.map((value) =>
      isMarker(value) ? (values as Record<string, unknown>)[value.parameter] : value,
    );
    return { ...query, parameters };
  };
}

/** A {@link statement} that reads what a batch remembers. */
export interface SettledStatement<P extends object, R> {
  (db: Db, values: P): Promise<{ rows: R[]; affected: number }>;
  /** Tells the writes of a batch what they would read. */
  know(tx: Tx, values: P, rows: R[]): void;
}

/**
 * A {@link statement} that reads a table which writes of a batch read again and again. In the writing transaction it runs once
 * for all that want the same, until one of them changes the table. Its rows are shared, so nobody may change them.
 */
export function settledStatement<P extends object, R = unknown>(
  table: SettledTable,
  build: (db: Db, parameter: Parameter<P>) => { compile(): CompiledQuery<R> },
): SettledStatement<P, R> {
  const run = statement(build);
  settledStatements += 1;
  const name = settledStatements;
  const keyOf = (values: P) => `${name} ${JSON.stringify(values)}`;
  const read = (db: Db, values: P) => {
    const settled = direct.get(db)?.settled;
    if (settled === undefined) return run(db, values);
    return settled.once({ db, table, key: keyOf(values), read: () => run(db, values) });
  };
  const know = (tx: Tx, values: P, rows: R[]) => {
    const answer = Promise.resolve({ rows, affected: 0 });
    direct.get(tx)?.settled.know({ db: tx, table, key: keyOf(values), answer });
  };
  return Object.assign(read, { know });
}

let settledStatements = 0;

type Replacing = InsertQueryBuilder<Schema, DeferredTable, InsertResult>;

/**
 * An insert that waits for the end of the batch, and is then one statement with the rows of all its writes. Any statement that
 * names the table is run after it. Whatever the database refuses of it fails its write alone, as if it had been run at once. Where
 * no statement is run directly, it does not wait.
 *
 * @param columns all columns of the table that a row has
 * @param options.replacedBy the key of a table whose rows are replaced; who adds one says what is to be read
 */
export function deferredInsert<Row extends object>(
  table: DeferredTable,
  columns: readonly (keyof Row & string)[],
  { replacedBy }: { replacedBy?: keyof Row & string } = {},
): (tx: Tx, row: Row) => Promise<void> {
  const compiled = new WeakMap<object, Map<number, string>>();
  const inserts = new WeakMap<Direct, (rows: readonly object[]) => void>();

  /** The text for so many rows. */
  function textOf(db: Db, count: number): string {
    const engine = db.getExecutor().adapter;
    const texts = compiled.get(engine) ?? new Map<number, string>();
    compiled.set(engine, texts);
    let text = texts.get(count);
    if (text === undefined) {
      const row = Object.fromEntries(columns.map((column) => [column, null]));
      const insert = db.insertInto(table).values(Array(count).fill(row));
      text = (replacedBy === undefined ? insert : replacing(insert, replacedBy)).compile().sql;
      texts.set(count, text);
    }
    return text;
  }

  function replacing(insert: Replacing, key: string) {
    const others = columns.filter((column) => column !== key);
    return insert.onConflict((conflict) =>
      conflict
        .column(key as never)
        .doUpdateSet((e) =>
          Object.fromEntries(others.map((name) => [name, e.ref(`excluded.${name}` as never)])),
        ),
    );
  }

  /** One row for each key: PostgreSQL refuses a statement that would replace a row twice. */
  function latestOf(rows: readonly Row[]): readonly Row[] {
    return replacedBy === undefined ? rows : [...new Map(rows.map((row) => [row[replacedBy], row])).values()];
  }

  function insertOn(db: Db, on: Direct): (rows: readonly object[]) => void {
    let insert = inserts.get(on);
    if (insert === undefined) {
      insert = (rows) => {
        const latest = latestOf(rows as readonly Row[]);
        const parameters = latest.flatMap((row) => columns.map((column) => row[column]));
        on.send(textOf(db, latest.length), parameters);
      };
      inserts.set(on, insert);
    }
    return insert;
  }

  return async (tx, row) => {
    const on = direct.get(tx);
    if (on === undefined) {
      await tx.executeQuery(
        CompiledQuery.raw(
          textOf(tx, 1),
          columns.map((column) => row[column]),
        ),
      );
      return;
    }
    const insert = insertOn(tx, on);
    if (replacedBy === undefined) on.settled.change(table);
    if (on.deferred.isOpen(tx)) on.deferred.add(table, row, insert);
    else insert([row]);
  };
}

function isMarker(value: unknown): value is Marker {
  return typeof value === 'object' && value !== null && 'parameter' in value;
}

/** A statement without parameters and without an answer, such as `savepoint`. */
export function fixedStatement(text: string): (db: Db) => Promise<void> {
  const query = CompiledQuery.raw(text);
  return async (db) => {
    const on = direct.get(db);
    if (on === undefined) await db.executeQuery(query);
    else on.send(text, []);
  };
}

/**
 * A query without parameters that is built and compiled once per engine.
 *
 * @throws Error if it has parameters, so that its text alone can be a part of another one
 */
export function fixedQuery<R>(
  build: (db: Db) => { compile(): CompiledQuery<R> },
): (db: Db) => CompiledQuery<R> {
  const compiled = new WeakMap<object, CompiledQuery<R>>();
  return (db) => {
    const engine = db.getExecutor().adapter;
    const query = compiled.get(engine) ?? build(db).compile();
    if (query.parameters.length > 0) throw new Error(`a fixed query has parameters: ${query.sql}`);
    compiled.set(engine, query);
    return query;
  };
}

/** The rows of a compiled query. */
export async function runQuery<R>(db: Db, query: CompiledQuery<R>): Promise<R[]> {
  const run = direct.get(db)?.run;
  if (run === undefined) return (await db.executeQuery(query)).rows;
  return (await run(query.sql, query.parameters)).rows as R[];
}
