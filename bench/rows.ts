import Sqlite from 'better-sqlite3';
import { treeOf } from './tree.ts';

/*
 * All SQL of the benchmark against a broker's file: reading back what the product wrote, copying it, and writing the
 * same rows. Only this file knows what the tables are called.
 */

/** A row as it is stored. */
export type Row = Record<string, unknown>;

/** A record's readable row, with its leaf and the effects that are to be delivered. */
export type DecidedRow = Row & {
  place: number;
  leaf: string;
  details: string;
  input: string;
  result: string;
  effects: string[];
};

/** What is read back of one database. */
export interface DatabaseReader {
  request(id: unknown): Row;
  /** The decisions about a request, in order. */
  decided(requestId: unknown): DecidedRow[];
  /** The newest decision of an operation. */
  lastDecided(operation: string): DecidedRow | undefined;
  vote(requestId: unknown): Row;
  /** The flag state that a request wrote, as JSON text. */
  state(requestId: unknown): string;
}

const DECIDED = 'select record_details.*, leaf from record_details join leaves using (place)';

/** Reads back what is in a database. */
export function reading<T>(file: string, work: (reader: DatabaseReader) => T): T {
  const db = new Sqlite(file, { readonly: true });
  const effectsOf = db.prepare('select effect from outbox where place = ?').pluck();
  const withEffects = (row: unknown): DecidedRow => {
    const decided = row as Omit<DecidedRow, 'effects'>;
    return { ...decided, effects: effectsOf.all(decided.place) } as DecidedRow;
  };
  try {
    return work({
      request: (id) => db.prepare('select * from requests where id = ?').get(id) as Row,
      decided: (requestId) =>
        db.prepare(`${DECIDED} where request_id = ? order by place`).all(requestId).map(withEffects),
      lastDecided: (operation) => {
        const row = db.prepare(`${DECIDED} where operation = ? order by place desc`).get(operation);
        return row === undefined ? undefined : withEffects(row);
      },
      vote: (requestId) => db.prepare('select * from votes where request_id = ?').get(requestId) as Row,
      state: (requestId) =>
        db
          .prepare('select state from flag_state_versions where request_id = ?')
          .pluck()
          .get(requestId) as string,
    });
  } finally {
    db.close();
  }
}

/** Copies what a request wrote as often as asked for, under new ids, with all its index entries. */
export function copyRequest(file: string, { requestId, count }: { requestId: unknown; count: number }): void {
  copyRequests(file, { requestId, copies: [{ count }], isWhole: true });
}

/** So many copies of a request; with a flag, as if they were about that one. */
export interface Copies {
  count: number;
  flag?: string;
}

/**
 * Copies what a request wrote as often as asked for.
 *
 * @param options.isWhole false leaves out what no list shows: inputs, results and versions of the flag
 */
export function copyRequests(
  file: string,
  { requestId, copies, isWhole }: { requestId: unknown; copies: readonly Copies[]; isWhole: boolean },
): void {
  const db = new Sqlite(file);
  // Written once, without a journal: if it fails, so does the run. The broker chooses its own journal.
  db.pragma('journal_mode = DELETE');
  db.pragma('journal_mode = OFF');
  db.pragma('synchronous = OFF');
  db.pragma('cache_size = -262144');
  db.transaction(() => {
    let copied = 0;
    for (const each of copies) {
      copyAll(db, { ...each, requestId, isWhole, copied });
      copied += each.count;
    }
    rebuildTree(db);
  })();
  db.close();
}

function copyAll(
  db: Sqlite.Database,
  options: Copies & { requestId: unknown; isWhole: boolean; copied: number },
): void {
  const { requestId, count, flag, isWhole, copied } = options;
  const [first, last] = [copied + 1, copied + count];
  const each = `with recursive each(n) as (select ${first} union all select n + 1 from each where n < ${last})`;
  // Ids of the past sort before those of the run, as UUID version 7 does.
  const id = "printf('0190%04x-%04x-7%03x-8000-%012x', n >> 16, n & 65535, n % 4096, n)";
  const copy = (table: string, changed: Record<string, string>, where: string) => {
    const values = columnsOf(db, table).map((name) => changed[name] ?? `source.${name}`);
    db.prepare(
      `${each} insert into ${table} (${columnsOf(db, table).join(', ')})
       select ${values.join(', ')} from each, (select * from ${table} where ${where}) as source`,
    ).run(requestId);
  };
  const size = Number(db.prepare('select max(place) from leaves').pluck().get());
  const place = `${size - copied} + n`;
  const source = 'place = (select min(place) from record_details where request_id = ?)';
  const about: Record<string, string> = flag === undefined ? {} : { flag: `'${flag}'` };
  const readable: Record<string, string> = isWhole ? {} : { input: "'{}'", result: "'{}'" };
  copy('requests', { id }, 'id = ?');
  copy('request_flags', { ...about, request_id: id }, 'request_id = ?');
  copy('leaves', { place }, source);
  copy('record_flags', { ...about, place }, source);
  copy('record_details', { ...readable, place, id, request_id: id }, source);
  if (isWhole) copy('flag_state_versions', { version: '1000000 + n', request_id: id }, 'request_id = ?');
}

/** How many requests wait for their time. */
export function countDue(file: string): number {
  const db = new Sqlite(file, { readonly: true });
  try {
    return Number(db.prepare('select count(*) from requests where due_ms is not null').pluck().get());
  } finally {
    db.close();
  }
}

/** Builds the tree of the log again, after leaves were copied beside the writer. */
function rebuildTree(db: Sqlite.Database): void {
  const leaves = db.prepare('select leaf from leaves order by place').pluck();
  const { size, root, frontier, tiles } = treeOf(leaves.iterate() as Iterable<string>);
  db.exec('drop trigger log_tiles_refuse_delete; delete from log_tiles');
  const insert = db.prepare('insert into log_tiles (level, tile, hashes, root) values (?, ?, ?, ?)');
  for (const tile of tiles) insert.run(...tile);
  db.prepare('update log_head set size = ?, root = ?, frontier = ?').run(size, root, frontier);
}

/** The statements of the floor, and its transaction. */
export interface FloorConnection {
  /** Makes of some work on a batch one transaction. */
  inTransaction<Job>(work: (jobs: readonly Job[]) => unknown[]): (jobs: readonly Job[]) => unknown[];
  statements: ReturnType<typeof prepareAll>;
  close(): void;
}

/** Opens a database that the product has made: the same tables, indexes and triggers. */
export function openFloor(file: string): FloorConnection {
  const db = openDurably(file);
  return { inTransaction: transactionsOf(db), statements: prepareAll(db), close: () => db.close() };
}

/** Creates the two tables of the lean floor. */
export function openLean(file: string) {
  const db = openDurably(file);
  db.exec(`create table decisions (id text primary key, input text not null, result text not null) without rowid;
    create table flags (key text primary key, state text not null) without rowid`);
  return {
    inTransaction: transactionsOf(db),
    insertDecision: db.prepare('insert into decisions values (?, ?, ?)'),
    writeFlag: db.prepare(
      'insert into flags values (?, ?) on conflict (key) do update set state = excluded.state',
    ),
    close: () => db.close(),
  };
}

/** As the product opens its database: an answer leaves only after the disk has what it says. */
function openDurably(file: string): Sqlite.Database {
  const db = new Sqlite(file);
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  return db;
}

function transactionsOf(db: Sqlite.Database): FloorConnection['inTransaction'] {
  return <Job>(work: (jobs: readonly Job[]) => unknown[]) => {
    const run = db.transaction(work);
    return (jobs: readonly Job[]) => run.immediate(jobs);
  };
}

function prepareAll(db: Sqlite.Database) {
  const insert = (table: string) => {
    const columns = columnsOf(db, table);
    const places = columns.map((name) => `@${name}`);
    return db.prepare(`insert into ${table} (${columns.join(', ')}) values (${places.join(', ')})`);
  };
  const sets = columnsOf(db, 'requests').map((name) => `${name} = @${name}`);
  return {
    findRequest: db.prepare('select content from requests where id = ?'),
    readHead: db.prepare('select size from log_head'),
    writeHead: db.prepare('update log_head set size = ?, last_ms = ?, root = ?, frontier = ?'),
    insertLeaf: db.prepare('insert into leaves (place, schema_version, leaf) values (?, 1, ?)'),
    insertDetails: insert('record_details'),
    insertRecordFlag: db.prepare('insert into record_flags (flag, place) values (?, ?)'),
    insertOutbox: db.prepare('insert into outbox (place, effect) values (?, ?)'),
    claimToken: insert('used_tokens'),
    insertVote: insert('votes'),
    updateState: db.prepare(
      'update flag_states set version = version + 1, state = ? where environment = ? and flag = ? returning version',
    ),
    insertStateVersion: db.prepare('insert into flag_state_versions values (?, ?, ?, ?, ?, ?, ?)'),
    raiseEnvironment: db.prepare(
      'update environment_versions set version = version + 1 where environment = ?',
    ),
    insertRequest: insert('requests'),
    insertRequestFlag: db.prepare('insert into request_flags (flag, request_id) values (?, ?)'),
    updateRequest: db.prepare(`update requests set ${sets.join(', ')} where id = @id`),
  };
}

function columnsOf(db: Sqlite.Database, table: string): string[] {
  return (db.pragma(`table_info(${table})`) as { name: string }[]).map(({ name }) => name);
}
