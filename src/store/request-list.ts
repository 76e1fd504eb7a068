import { type ExpressionBuilder, sql } from 'kysely';
import { isAmong, notByIndex } from './dialect.ts';
import { afterAll } from './id-range.ts';
import { EVERY_ENVIRONMENT } from './records.ts';
import { type ScannedPage, type Stream, scanPage } from './scan.ts';
import type { RequestsTable, Schema } from './schema.ts';
import type { Db } from './statement.ts';

/** The filter of {@link listRequests}; every part is optional. */
export interface RequestFilter {
  state?: readonly string[];
  kind?: string;
  environment?: string;
  flag?: string;
  proposer?: string;
  /** The beginning of the id. */
  id?: string;
}

/** The requests of one environment that a caller may see. */
export interface VisibleRequests {
  environment: string | null;
  /** The namespaces that the caller may read there. */
  namespaces: readonly string[];
  /** Whether the caller may read requests there that belong to no namespace. */
  others: boolean;
}

/**
 * The environments and namespaces that requests may belong to. Each takes one look at an index: every request has a record
 * in its environment.
 */
export async function listRequestPlaces(
  db: Db,
): Promise<{ environments: (string | null)[]; namespaces: string[] }> {
  const environments = await distinct(db, 'record_details', 'environment');
  return {
    environments: [null, ...environments.filter((each) => each !== EVERY_ENVIRONMENT)],
    namespaces: await distinct(db, 'request_namespaces', 'namespace'),
  };
}

/** The values of an indexed column. SQLite would read the whole index for `distinct`. */
async function distinct(db: Db, table: string, column: string): Promise<string[]> {
  const [from, value] = [sql.table(table), sql.ref(column)];
  const { rows } = await sql<{ value: string }>`with recursive found (value) as (
      select min(${value}) from ${from}
      union all
      select (select min(${value}) from ${from} where ${value} > found.value) from found
        where found.value is not null
    ) select value from found where value is not null`.execute(db);
  return rows.map((row) => row.value);
}

/** How many requests a page looks at: some milliseconds. */
const MAX_LOOKS = 1000;

/**
 * One page of the requests that the caller may see, newest first, only those before `beforeId`. Ids are UUID version 7, so they
 * sort by time.
 */
export function listRequests(
  db: Db,
  options: {
    filter: RequestFilter;
    visible: readonly VisibleRequests[];
    beforeId: string | null;
    limit: number;
  },
): Promise<ScannedPage<string, RequestsTable>> {
  const { filter, visible, beforeId, limit } = options;
  return scanPage({
    streams: streamsOf(db, filter),
    fetch: (ids, count) => fetchRequests(db, { filter, visible, ids, limit: count }),
    keyOf: ({ id }) => id,
    before: beforeId,
    limit,
    maxLooks: MAX_LOOKS,
  });
}

/** Where the candidates are found: in the narrowest index that the filter has. */
function streamsOf(db: Db, { flag, proposer, state, id }: RequestFilter): Stream<string>[] {
  if (flag !== undefined) return [ofFlag(db, flag, id)];
  if (proposer !== undefined) return [requestsWith(db, 'proposer_id', proposer, id)];
  if (state !== undefined) return state.map((each) => requestsWith(db, 'state', each, id));
  return [requestsWith(db, null, '', id)];
}

/** @param begin how the ids begin; undefined: as they like */
function requestsWith(
  db: Db,
  column: 'proposer_id' | 'state' | null,
  value: string,
  begin: string | undefined,
): Stream<string> {
  return async (before, count) => {
    let query = db.selectFrom('requests').select('id').orderBy('id', 'desc').limit(count);
    if (column !== null) query = query.where(column, '=', value);
    if (begin !== undefined) query = query.where('id', '>=', begin).where('id', '<', afterAll(begin));
    if (before !== null) query = query.where('id', '<', before);
    return (await query.execute()).map(({ id }) => id);
  };
}

function ofFlag(db: Db, flag: string, begin: string | undefined): Stream<string> {
  return async (before, count) => {
    let query = db
      .selectFrom('request_flags')
      .select('request_id')
      .where('flag', '=', flag)
      .orderBy('request_id', 'desc')
      .limit(count);
    if (begin !== undefined)
      query = query.where('request_id', '>=', begin).where('request_id', '<', afterAll(begin));
    if (before !== null) query = query.where('request_id', '<', before);
    return (await query.execute()).map(({ request_id }) => request_id);
  };
}

/** The requests with these ids that fit. SQLite would look for them in an index instead. */
async function fetchRequests(
  db: Db,
  {
    filter,
    visible,
    ids,
    limit,
  }: {
    filter: RequestFilter;
    visible: readonly VisibleRequests[];
    ids: readonly string[];
    limit: number;
  },
): Promise<RequestsTable[]> {
  const { flag, state, kind, environment, proposer } = filter;
  let query = db
    .selectFrom('requests')
    .selectAll('requests')
    .where(isAmong(db, 'requests.id', ids))
    .where((e) => e.or(visible.map((part) => e.and(isVisible(e, part)))));
  if (flag !== undefined) {
    query = query.where((e) =>
      e.exists(
        e
          .selectFrom('request_flags')
          .select('request_flags.request_id')
          .where('request_flags.flag', '=', flag)
          .whereRef('request_flags.request_id', '=', 'requests.id'),
      ),
    );
  }
  if (state !== undefined) query = query.where(notByIndex(db, 'requests.state'), 'in', state);
  if (kind !== undefined) query = query.where('requests.kind', '=', kind);
  if (environment !== undefined) query = query.where('requests.environment', '=', environment);
  if (proposer !== undefined) query = query.where(notByIndex(db, 'requests.proposer_id'), '=', proposer);
  return query.orderBy('requests.id', 'desc').limit(limit).execute();
}

type Conditions = ExpressionBuilder<Schema, 'requests'>;

function isVisible(e: Conditions, { environment, namespaces, others }: VisibleRequests) {
  const own = e
    .selectFrom('request_namespaces')
    .select('namespace')
    .whereRef('request_namespaces.request_id', '=', 'requests.id');
  return [
    e('requests.environment', 'is not distinct from', environment),
    e.not(e.exists(own.where('namespace', 'not in', namespaces))),
    ...(others ? [] : [e.exists(own)]),
  ];
}
