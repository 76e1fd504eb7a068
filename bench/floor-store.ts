import Sqlite from 'better-sqlite3';
import { ENVIRONMENT } from './flags.ts';

type Row = Record<string, unknown>;

/** The floor's store: prepared statements on better-sqlite3, one transaction for all that has arrived. */
export interface FloorStore {
  findRequest(id: string): { content: string };
  /** Runs the work in the next batch and resolves once that is durable. */
  write<T>(work: () => T): Promise<T>;
  insertRecord(details: Row, beside: { leaf: string; flag: string | null; effects: readonly string[] }): void;
  /** @throws Error when it was used before */
  claimToken(row: Row): void;
  insertVote(row: Row): void;
  writeState(flag: string, state: string, requestId: string): void;
  insertRequest(row: Row, flag: string): void;
  updateRequest(row: Row): void;
  close(): void;
}

interface Job {
  work: () => unknown;
  resolve: (value: never) => void;
  reject: (error: unknown) => void;
}

/** Opens a database that the product has made: the same tables, indexes and triggers. */
export function openFloorStore(file: string): FloorStore {
  const db = new Sqlite(file);
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  const statements = prepareAll(db);
  const jobs: Job[] = [];

  let size = 0;

  const runAll = db.transaction((batch: readonly Job[]) => {
    ({ size } = statements.readHead.get() as { size: number });
    const values = batch.map((job) => job.work());
    statements.writeHead.run(size, Date.now());
    return values;
  });

  function runBatch(): void {
    const batch = jobs.splice(0);
    try {
      const values = runAll.immediate(batch);
      for (const [place, job] of batch.entries()) job.resolve(values[place] as never);
    } catch (error) {
      for (const job of batch) job.reject(error);
    }
  }

  return {
    findRequest: (id) => statements.findRequest.get(id) as { content: string },
    write: (work) =>
      new Promise((resolve, reject) => {
        if (jobs.length === 0) setImmediate(runBatch);
        jobs.push({ work, resolve, reject });
      }),
    insertRecord: (details, { leaf, flag, effects }) => {
      size += 1;
      statements.insertLeaf.run(size, leaf);
      statements.insertDetails.run({ ...details, place: size });
      if (flag !== null) statements.insertRecordFlag.run(flag, size);
      for (const effect of effects) statements.insertOutbox.run(size, effect);
    },
    claimToken: (row) => statements.claimToken.run(row),
    insertVote: (row) => statements.insertVote.run(row),
    writeState: (flag, state, requestId) => {
      const { version } = statements.updateState.get(state, ENVIRONMENT, flag) as { version: number };
      statements.insertStateVersion.run(flag, ENVIRONMENT, version, state, requestId, requestId, Date.now());
      statements.raiseEnvironment.run(ENVIRONMENT);
    },
    insertRequest: (row, flag) => {
      statements.insertRequest.run(row);
      statements.insertRequestFlag.run(flag, row.id);
    },
    updateRequest: (row) => statements.updateRequest.run(row),
    close: () => db.close(),
  };
}

function prepareAll(db: Sqlite.Database) {
  const columnsOf = (table: string) =>
    (db.pragma(`table_info(${table})`) as { name: string }[]).map(({ name }) => name);
  const insert = (table: string) => {
    const columns = columnsOf(table);
    const places = columns.map((name) => `@${name}`);
    return db.prepare(`insert into ${table} (${columns.join(', ')}) values (${places.join(', ')})`);
  };
  const sets = columnsOf('requests').map((name) => `${name} = @${name}`);
  return {
    findRequest: db.prepare('select content from requests where id = ?'),
    readHead: db.prepare('select size from log_head'),
    writeHead: db.prepare('update log_head set size = ?, last_ms = ?'),
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
