import { readFileSync, writeFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import Sqlite from 'better-sqlite3';
import { reading, withFile } from './file.ts';

/*
 * Databases of a former schema. The one in `fixtures` was written by the broker of that schema itself.
 */

const FIXTURE = new URL('../../../fixtures/stores/0002_identity.db.gz', import.meta.url);

/** A record of the former schema with its decision. `record`, `input` and `result` are JSON texts. */
export interface FormerRecord {
  seq: number;
  id: string;
  at_ms: number;
  operation: string;
  outcome: string;
  principal_id: string;
  person: string | null;
  environment: string | null;
  request_id: string | null;
  policy_hash: string;
  record: string;
  input: string;
  result: string;
}

/** What a former database can be filled with. */
export interface FormerContent {
  bundles: { hash: string; revision: string; archive: Buffer; stored_ms: number }[];
  /** The hash of the active policy. */
  active?: string;
  records?: { id: string; operation: string; policy_hash: string; at_ms: number }[];
}

/** The database of the fixture, as the former broker left it. */
export function formerDatabase(): Buffer {
  return gunzipSync(readFileSync(FIXTURE));
}

/** Makes a database with the schema of the fixture, and with this content alone. */
export function createFormer(file: string, { bundles, active, records = [] }: FormerContent): void {
  const fixture = `${file}-fixture`;
  writeFileSync(fixture, formerDatabase());
  const { schema, applied } = reading(fixture, (db) => ({
    schema: db
      .prepare(
        "select sql from sqlite_master where sql is not null and name not like 'sqlite_%' order by rowid",
      )
      .pluck()
      .all() as string[],
    applied: db.prepare('select name, timestamp from kysely_migration order by name').all(),
  }));
  withFile(file, (db) => {
    for (const sql of schema) db.exec(sql);
    db.exec("insert into kysely_migration_lock values ('migration_lock', 0)");
    const apply = db.prepare('insert into kysely_migration (name, timestamp) values (@name, @timestamp)');
    for (const migration of applied) apply.run(migration);
    const store = db.prepare(
      `insert into policy_bundles (hash, revision, archive, stored_ms)
       values (@hash, @revision, @archive, @stored_ms)`,
    );
    for (const bundle of bundles) store.run(bundle);
    if (active !== undefined) db.prepare("insert into meta values ('active_policy', ?)").run(active);
    const record = db.prepare(
      `insert into records (id, at_ms, operation, outcome, principal_id, policy_hash, record)
       values (@id, @at_ms, @operation, 'allow', 'workload:countersign:operator', @policy_hash, '{}')`,
    );
    const decide = db.prepare("insert into decisions (id, input, result) values (@id, '{}', '{}')");
    for (const row of records) {
      record.run(row);
      decide.run({ id: row.id });
    }
  });
}

/** The log, oldest first. */
export function readFormerRecords(file: string): FormerRecord[] {
  const sql = 'select records.*, input, result from records join decisions using (id) order by seq';
  return reading(file, (db) => db.prepare(sql).all() as FormerRecord[]);
}

/** How many records there are, with a decision or without. */
export function countFormerRecords(file: string): number {
  return reading(file, (db) => Number(db.prepare('select count(*) from records').pluck().get()));
}

/** Which flags the records are about. */
export function readFormerRecordFlags(file: string): { flag: string; place: number }[] {
  const sql = 'select flag, seq as place from record_flags order by seq, flag';
  return reading(file, (db) => db.prepare(sql).all() as { flag: string; place: number }[]);
}

/** What requests were planned to do: JSON texts by their ids. */
export function readFormerPlans(file: string): Map<string, string> {
  const sql = 'select id, planned from requests order by id';
  return reading(file, (db) => new Map(db.prepare(sql).raw().all() as [string, string][]));
}

/** Removes a record, past what the database refuses. */
export function removeFormerRecord(file: string, seq: number): void {
  withFile(file, (db) => {
    db.exec('drop trigger records_refuse_delete');
    const { changes } = db.prepare('delete from records where seq = ?').run(seq);
    if (changes !== 1) throw new Error(`${file} has no record ${seq}`);
  });
}

/** Adds a principal that the former broker has seen. */
export function addFormerPrincipal(
  file: string,
  principal: { id: string; kind: string; person: string | null },
): void {
  withFile(file, (db) => {
    db.prepare(
      "insert into principals values (@id, @kind, @person, 'https://issuer.example', '{}', 0, 0)",
    ).run(principal);
  });
}

/** Gives the only browser session another hash of its secret: that of the fixture is of none. */
export function setFormerSessionHash(file: string, hash: string): void {
  withFile(file, (db) => {
    const { changes } = db.prepare('update sessions set secret_hash = ?').run(hash);
    if (changes !== 1) throw new Error(`${file} has ${changes} sessions`);
  });
}

/** A transaction that somebody else works in. */
export interface SpilledTransaction {
  connection: Sqlite.Database;
  /** How many leaves there are inside it. */
  countLeaves(): number;
  rollback(): void;
}

/** Begins a transaction whose changes go to the log on disk before any commit: there is no room in the cache for them. */
export function beginSpilled(file: string): SpilledTransaction {
  const connection = new Sqlite(file);
  connection.pragma('journal_mode = WAL');
  connection.pragma('cache_size = 10');
  connection.exec('begin immediate');
  return {
    connection,
    countLeaves: () => Number(connection.prepare('select count(*) from leaves').pluck().get()),
    rollback: () => connection.exec('rollback'),
  };
}
