import { CompiledQuery } from 'kysely';
import { reading, withFile } from './file.ts';

/*
 * The decision log in a broker's file: the leaves, what is kept beside them, the head and the outbox.
 */

/** A leaf: canonical JSON. */
export interface LeafRow {
  place: number;
  schema_version: number;
  leaf: string;
}

/** What is readable beside a leaf. `details`, `input` and `result` are JSON texts. */
export interface DetailsRow {
  place: number;
  id: string;
  at_ms: number;
  operation: string;
  outcome: string;
  principal_id: string;
  person: string | null;
  environment: string | null;
  request_id: string | null;
  policy_hash: string;
  salt: string;
  details: string;
  input: string;
  result: string;
}

/** How somebody is called in leaves. */
export interface PseudonymRow {
  kind: string;
  name: string;
  pseudonym: string;
}

/** How far the log has come. */
export interface HeadRow {
  id: number;
  installation: string;
  epoch: number;
  fence: number;
  size: number;
  root: string;
  frontier: string;
  last_ms: number;
}

/** A transaction of the writer's. */
interface Transaction {
  executeQuery<R>(query: CompiledQuery<R>): Promise<{ rows: R[] }>;
}

function all<Row>(file: string, sql: string): Row[] {
  return reading(file, (db) => db.prepare(sql).all() as Row[]);
}

/** The leaves, in their order. */
export function readLeaves(file: string): LeafRow[] {
  return all(file, 'select * from leaves order by place');
}

/** What is kept beside the leaves and was not erased, in their order. */
export function readDetails(file: string): DetailsRow[] {
  return all(file, 'select * from record_details order by place');
}

/** The leaves that have something beside them, with that, in their order. */
export function readLeavesAndDetails(file: string): (LeafRow & DetailsRow)[] {
  return all(file, 'select * from record_details join leaves using (place) order by place');
}

/** Which flags the records are about. */
export function readRecordFlags(file: string): { flag: string; place: number }[] {
  return all(file, 'select flag, place from record_flags order by place, flag');
}

/** Whom the leaves name, and how. */
export function readPseudonyms(file: string): PseudonymRow[] {
  return all(file, 'select kind, name, pseudonym from pseudonyms');
}

/** What is to be delivered outside. */
export function readOutbox(file: string): { place: number; effect: string }[] {
  return all(file, 'select place, effect from outbox order by place, effect');
}

/** The head. */
export function readHead(file: string): HeadRow {
  const [head, ...others] = all<HeadRow>(file, 'select * from log_head');
  if (head === undefined || others.length > 0) throw new Error(`${file} has not one head`);
  return head;
}

/** The size that the head says inside a transaction. */
export async function sizeWithin(tx: Transaction): Promise<number | undefined> {
  const query = CompiledQuery.raw('select size from log_head') as CompiledQuery<{ size: number }>;
  return (await tx.executeQuery(query)).rows[0]?.size;
}

/** Runs a statement inside a transaction that the store refuses: a second head under the id of the first. */
export async function addSecondHead(tx: Transaction): Promise<void> {
  await tx.executeQuery(CompiledQuery.raw('insert into log_head select * from log_head'));
}

/** Makes the store refuse a new head, as a failing disk would. @returns what makes it take one again */
export function refuseHead(file: string): () => void {
  withFile(file, (db) =>
    db.exec("create trigger fault before update on log_head begin select raise(abort, 'no'); end"),
  );
  return () => withFile(file, (db) => db.exec('drop trigger fault'));
}

/** A complete tile of the tree. */
export interface TileRow {
  level: number;
  tile: number;
  hashes: Buffer;
  root: Buffer;
}

/** The complete tiles, level by level. */
export function readTiles(file: string): TileRow[] {
  return all(file, 'select level, tile, hashes, root from log_tiles order by level, tile');
}

/** Leaves, head and tiles of one moment. */
export function readTree(file: string): { leaves: LeafRow[]; head: HeadRow; tiles: TileRow[] } {
  return reading(file, (db) => ({
    leaves: db.prepare('select * from leaves order by place').all() as LeafRow[],
    head: db.prepare('select * from log_head').get() as HeadRow,
    tiles: db.prepare('select level, tile, hashes, root from log_tiles').all() as TileRow[],
  }));
}

/** Puts leaves into a log without a tree, as a former version wrote it. @param leaves by place */
export function insertFormerLeaves(file: string, leaves: ReadonlyMap<number, string>): void {
  withFile(file, (db) => {
    const insert = db.prepare('insert into leaves values (?, 1, ?)');
    db.transaction(() => {
      for (const [place, leaf] of leaves) insert.run(place, leaf);
      db.exec('update log_head set size = (select coalesce(max(place), 0) from leaves)');
    })();
  });
}

/** Moves the fence, as another broker does that takes the file over. */
export function moveFence(file: string, by: number): void {
  withFile(file, (db) => db.prepare('update log_head set fence = fence + ?').run(by));
}

/** Changes the stored log from outside, past what keeps it. @param statement an SQL statement */
export function alterLog(file: string, statement: string): void {
  withFile(file, (db) => {
    const triggers = db
      .prepare(
        "select name, sql from sqlite_master where type = 'trigger' and tbl_name in ('leaves', 'log_tiles')",
      )
      .all() as { name: string; sql: string }[];
    for (const { name } of triggers) db.exec(`drop trigger ${name}`);
    const { changes } = db.prepare(statement).run();
    for (const { sql } of triggers) db.exec(sql);
    if (changes === 0) throw new Error(`${statement} changes nothing`);
  });
}
