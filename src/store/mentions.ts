import { type RawBuilder, sql } from 'kysely';
import { isAmong } from './dialect.ts';
import { OPEN_STATES } from './requests.ts';
import type { RequestsTable } from './schema.ts';
import type { PseudonymsTable, RecordDetailsTable } from './schema-log.ts';
import type { Db, Tx } from './statement.ts';

/*
 * Texts that may name a person. They are found by patterns in lower case, which find too much rather than too little:
 * whoever asks reads the rows.
 */

/** The columns of a table that may name a person, and the key of its rows. */
interface NamingTable {
  key: readonly string[];
  columns: readonly string[];
}

/** The tables beside the log in which persons are named in passing: a row that names one is kept, without the name. */
export const NAMING_TABLES = {
  requests: {
    key: ['id'],
    columns: ['content', 'plan', 'proposer', 'proposer_id', 'authors', 'standing'],
  },
  votes: { key: ['request_id', 'person'], columns: ['person', 'principal', 'comment'] },
  freezes: { key: ['id'], columns: ['incident', 'reason', 'engaged_by'] },
  breakglass_sessions: { key: ['id'], columns: ['person', 'principal', 'incident', 'reason'] },
  revocations: {
    key: ['id'],
    columns: ['value', 'person', 'incident', 'reason', 'created_by', 'lifted_by'],
  },
  principals: { key: ['id'], columns: ['person', 'principal'] },
  idempotency_keys: { key: ['principal_id', 'key'], columns: ['principal_id', 'body'] },
  denials: { key: ['minute_ms', 'caller', 'operation'], columns: ['caller'] },
} as const satisfies Record<string, NamingTable>;

/** One of {@link NAMING_TABLES}. */
export type NamingTableName = keyof typeof NAMING_TABLES;

/** A row of such a table: its key and its texts. */
export type NamingRow = Readonly<Record<string, string | number | null>>;

function isLike(columns: readonly string[], patterns: readonly string[]): RawBuilder<boolean> {
  const each = columns.flatMap((column) =>
    patterns.map((pattern) => sql`lower(${sql.ref(column)}) like ${pattern}`),
  );
  return sql<boolean>`(${sql.join(each, sql` or `)})`;
}

/** A record whose details, input or result may name a person. */
export type MentioningRecord = Pick<
  RecordDetailsTable,
  'place' | 'at_ms' | 'principal_id' | 'person' | 'request_id' | 'details' | 'input' | 'result'
>;

/** The place of the last record, also of one that this write appended. */
export async function findLastPlace(db: Db): Promise<number> {
  const row = await db
    .selectFrom('leaves')
    .select((e) => e.fn.max('place').as('last'))
    .executeTakeFirst();
  return Number(row?.last ?? 0);
}

/** The records after one place, up to another, that match a pattern. */
export function listMentioning(
  db: Db,
  { after, to, patterns }: { after: number; to: number; patterns: readonly string[] },
): Promise<MentioningRecord[]> {
  return db
    .selectFrom('record_details')
    .select(['place', 'at_ms', 'principal_id', 'person', 'request_id', 'details', 'input', 'result'])
    .where('place', '>', after)
    .where('place', '<=', to)
    .where(isLike(['details', 'input', 'result'], patterns))
    .orderBy('place')
    .execute();
}

/** The ids of the next requests after one, oldest first. */
export async function listRequestIds(db: Db, after: string, limit: number): Promise<string[]> {
  const rows = await db
    .selectFrom('requests')
    .select('id')
    .where('id', '>', after)
    .orderBy('id')
    .limit(limit)
    .execute();
  return rows.map(({ id }) => id);
}

/** Ids of the requests after one id, up to another, that match a pattern. */
export async function listMentioningRequests(
  db: Db,
  { after, to, patterns }: { after: string; to: string; patterns: readonly string[] },
): Promise<string[]> {
  const rows = await db
    .selectFrom('requests')
    .select('id')
    .where('id', '>', after)
    .where('id', '<=', to)
    .where(isLike(NAMING_TABLES.requests.columns, patterns))
    .execute();
  return rows.map(({ id }) => id);
}

/** Those of the given requests that are open, and all open ones that match a pattern or have a vote that does. */
export async function listOpenMentioning(
  db: Db,
  { among, patterns }: { among: ReadonlySet<string>; patterns: readonly string[] },
): Promise<Pick<RequestsTable, 'id' | 'kind' | 'content'>[]> {
  const open = await db
    .selectFrom('requests')
    .select(['id', 'kind', 'content', isLike(NAMING_TABLES.requests.columns, patterns).as('matches')])
    .where('state', 'in', OPEN_STATES)
    .execute();
  const voted = await db
    .selectFrom('votes')
    .select('request_id')
    .where(isLike(NAMING_TABLES.votes.columns, patterns))
    .execute();
  const named = new Set([...among, ...voted.map(({ request_id }) => request_id)]);
  return open.filter(({ id, matches }) => Boolean(matches) || named.has(id));
}

/** The pseudonyms of workloads and agents whose ids match a pattern. */
export function listNamingPseudonyms(db: Db, patterns: readonly string[]): Promise<PseudonymsTable[]> {
  return db
    .selectFrom('pseudonyms')
    .selectAll()
    .where('kind', '=', 'principal')
    .where('name', 'not like', 'person:%')
    .where(isLike(['name'], patterns))
    .orderBy('name')
    .execute();
}

/** The rows of a table that match a pattern; of requests, only those with the given ids. */
export async function listNaming(
  db: Db,
  table: NamingTableName,
  { patterns, ids }: { patterns: readonly string[]; ids?: readonly string[] },
): Promise<NamingRow[]> {
  const { key, columns }: NamingTable = NAMING_TABLES[table];
  const wanted = sql.join([...new Set([...key, ...columns])].map((column) => sql.ref(column)));
  const found: NamingRow[] = [];
  const where = isLike(columns, patterns);
  if (ids === undefined) {
    const { rows } = await sql<NamingRow>`select ${wanted} from ${sql.table(table)} where ${where}`.execute(
      db,
    );
    return rows;
  }
  for (const id of ids) {
    const { rows } =
      await sql<NamingRow>`select ${wanted} from ${sql.table(table)} where id = ${id} and ${where}`.execute(
        db,
      );
    found.push(...rows);
  }
  return found;
}

/** Replaces the texts of one such row. */
export async function renameIn(
  tx: Tx,
  table: NamingTableName,
  row: NamingRow,
  texts: NamingRow,
): Promise<void> {
  const { key }: NamingTable = NAMING_TABLES[table];
  const set = Object.entries(texts).map(([column, text]) => sql`${sql.ref(column)} = ${text}`);
  const is = key.map((column) => sql`${sql.ref(column)} = ${row[column]}`);
  await sql`update ${sql.table(table)} set ${sql.join(set)} where ${sql.join(is, sql` and `)}`.execute(tx);
}

/** Deletes what is only about this person: their accounts and sessions, what they used, and their provisioned user. */
export async function deleteOwnRows(
  tx: Tx,
  { persons, accounts }: { persons: readonly string[]; accounts: readonly string[] },
): Promise<void> {
  await tx
    .deleteFrom('sessions')
    .where(isAmong(tx, 'principal_id', accounts))
    .execute();
  await tx
    .deleteFrom('sessions')
    .where(isAmong(tx, 'person', persons))
    .execute();
  await tx
    .deleteFrom('grant_uses')
    .where(isAmong(tx, 'principal_id', accounts))
    .execute();
  await tx
    .deleteFrom('principals')
    .where(isAmong(tx, 'id', accounts))
    .execute();
  await tx
    .deleteFrom('provisioned_users')
    .where(isAmong(tx, 'id', persons))
    .execute();
}
