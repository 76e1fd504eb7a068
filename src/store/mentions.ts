import { type RawBuilder, sql } from 'kysely';
import { isAmong } from './dialect.ts';
import { OPEN_STATES } from './request-states.ts';
import type { RequestsTable } from './schema.ts';
import type { PseudonymsTable, RecordDetailsTable } from './schema-log.ts';
import type { Db, Tx } from './statement.ts';

/*
 * Texts that may name a person. They are found by patterns in lower case, and whatever is not plain ASCII is found, because a name
 * may be in it in another form, in full-width letters or with a character that nobody sees. That is too much rather than too little:
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
    columns: ['content', 'plan', 'proposer', 'proposer_id', 'authors', 'standing', 'owner', 'demands'],
  },
  comments: { key: ['id'], columns: ['person', 'principal', 'principal_id', 'said'] },
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

function mayName(columns: readonly string[], patterns: readonly string[]): RawBuilder<boolean> {
  const each = columns.flatMap((column) => [
    ...patterns.map((pattern) => sql`lower(${sql.ref(column)}) like ${pattern}`),
    sql`octet_length(${sql.ref(column)}) <> length(${sql.ref(column)})`,
  ]);
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

/** The place of the last record that erased anything; 0 if nothing was erased. */
export async function findLastErasure(db: Db): Promise<number> {
  const row = await db
    .selectFrom('erasures')
    .select((e) => e.fn.max('erased_by').as('last'))
    .executeTakeFirst();
  return Number(row?.last ?? 0);
}

/** The records after one place, up to another, that may name somebody. */
export function listMentioning(
  db: Db,
  { after, to, patterns }: { after: number; to: number; patterns: readonly string[] },
): Promise<MentioningRecord[]> {
  return db
    .selectFrom('record_details')
    .select(['place', 'at_ms', 'principal_id', 'person', 'request_id', 'details', 'input', 'result'])
    .where('place', '>', after)
    .where('place', '<=', to)
    .where(mayName(['details', 'input', 'result'], patterns))
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

/** Texts that may name somebody, and the request that they belong to. */
export interface TextsOfRequest {
  id: string;
  texts: readonly string[];
}

/** The texts of the requests after one id, up to another, that may name somebody. */
export async function listMentioningRequests(
  db: Db,
  { after, to, patterns }: { after: string; to: string; patterns: readonly string[] },
): Promise<TextsOfRequest[]> {
  const { columns } = NAMING_TABLES.requests;
  const rows = await db
    .selectFrom('requests')
    .select(['id', ...columns])
    .where('id', '>', after)
    .where('id', '<=', to)
    .where(mayName(columns, patterns))
    .execute();
  return rows.map((row) => ({ id: row.id, texts: columns.map((column) => row[column] ?? '') }));
}

/** An open request, with its own texts and those of its votes. */
export type OpenTexts = TextsOfRequest & Pick<RequestsTable, 'kind' | 'content'>;

/** All open requests. */
export async function listOpenTexts(db: Db): Promise<OpenTexts[]> {
  const { columns } = NAMING_TABLES.requests;
  const open = await db
    .selectFrom('requests')
    .select(['id', 'kind', ...columns])
    .where('state', 'in', OPEN_STATES)
    .execute();
  const votes = await db
    .selectFrom('votes')
    .innerJoin('requests', 'requests.id', 'votes.request_id')
    .select(['votes.request_id', 'votes.person', 'votes.principal', 'votes.comment'])
    .where('requests.state', 'in', OPEN_STATES)
    .execute();
  const ofVotes = Map.groupBy(votes, ({ request_id }) => request_id);
  return open.map((row) => ({
    id: row.id,
    kind: row.kind,
    content: row.content,
    texts: [
      ...columns.map((column) => row[column] ?? ''),
      ...(ofVotes.get(row.id) ?? []).flatMap(({ person, principal, comment }) => [
        person,
        principal,
        ...(comment === null ? [] : [comment]),
      ]),
    ],
  }));
}

/** The pseudonyms of workloads and agents whose ids may name somebody. */
export function listNamingPseudonyms(db: Db, patterns: readonly string[]): Promise<PseudonymsTable[]> {
  return db
    .selectFrom('pseudonyms')
    .selectAll()
    .where('kind', '=', 'principal')
    .where('name', 'not like', 'person:%')
    .where(mayName(['name'], patterns))
    .orderBy('name')
    .execute();
}

/** The rows of a table that may name somebody; of requests, only those with the given ids. */
export async function listNaming(
  db: Db,
  table: NamingTableName,
  { patterns, ids }: { patterns: readonly string[]; ids?: readonly string[] },
): Promise<NamingRow[]> {
  const { key, columns }: NamingTable = NAMING_TABLES[table];
  const wanted = sql.join([...new Set([...key, ...columns])].map((column) => sql.ref(column)));
  const found: NamingRow[] = [];
  const where = mayName(columns, patterns);
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
    .deleteFrom('relays')
    .where(isAmong(tx, 'principal', accounts))
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
