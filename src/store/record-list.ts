import { foldPerson } from '../person-name.ts';
import { operatorPrincipal } from '../principal.ts';
import { isAmong, notByIndex } from './dialect.ts';
import { afterAll } from './id-range.ts';
import { readHead } from './log-head.ts';
import { findPrincipal } from './principals.ts';
import { EVERY_ENVIRONMENT, STORED_RECORD, type StoredRecord } from './records.ts';
import { type ScannedPage, type Stream, scanPage } from './scan.ts';
import type { Db } from './statement.ts';

/** The filter of {@link listRecords}; every part is optional. */
export interface RecordFilter {
  flag?: string;
  environment?: string;
  principal?: string;
  operation?: string;
  /** What the policy answered. */
  outcome?: string;
  request?: string;
  /** The beginning of the id. */
  id?: string;
  /** From this time (inclusive), in epoch milliseconds. */
  from_ms?: number;
  /** Before this time. */
  to_ms?: number;
}

/** How many records a page looks at. Some milliseconds; a row is about as large as a page of the file. */
const MAX_LOOKS = 2000;

/** The places that can be in a list, both ends included. */
interface Span {
  first: number;
  last: number;
}

/** One page of the records, newest first, only those before a place. Erased records are not included. */
export async function listRecords(
  db: Db,
  options: { filter: RecordFilter; beforePlace: number | null; limit: number },
): Promise<ScannedPage<number, StoredRecord>> {
  const { filter, beforePlace, limit } = options;
  const span = await spanOf(db, filter);
  return scanPage({
    streams: await streamsOf(db, filter, span),
    fetch: (places, count) => fetchRecords(db, { filter, places, limit: count }),
    keyOf: (row) => row.place,
    before: beforePlace,
    limit,
    maxLooks: MAX_LOOKS,
  });
}

/** Where the candidates are found: in the narrowest index that the filter has, or in the log itself. */
async function streamsOf(db: Db, filter: RecordFilter, span: Span): Promise<Stream<number>[]> {
  const { flag, environment, principal, request, id } = filter;
  const named = id === undefined ? null : await placesOf(db, id);
  if (named !== null) return [listed(named, span)];
  if (request !== undefined) return [indexed(db, 'request_id', request, span)];
  if (flag !== undefined) return [ofFlag(db, flag, span)];
  if (principal !== undefined && (await isPrincipal(db, principal)))
    return [indexed(db, 'principal_id', principal, span)];
  if (environment !== undefined)
    return [environment, EVERY_ENVIRONMENT].map((each) => indexed(db, 'environment', each, span));
  return [everyPlace(span)];
}

/** A name that is the id of a principal is no person's name. */
async function isPrincipal(db: Db, name: string): Promise<boolean> {
  return (await findPrincipal(db, name)) !== undefined;
}

function indexed(
  db: Db,
  column: 'request_id' | 'principal_id' | 'environment',
  value: string,
  span: Span,
): Stream<number> {
  return async (before, count) => {
    const rows = await db
      .selectFrom('record_details')
      .select('place')
      .where(column, '=', value)
      .where('place', '<=', lastBefore(before, span))
      .where('place', '>=', span.first)
      .orderBy('place', 'desc')
      .limit(count)
      .execute();
    return rows.map(({ place }) => place);
  };
}

function ofFlag(db: Db, flag: string, span: Span): Stream<number> {
  return async (before, count) => {
    const rows = await db
      .selectFrom('record_flags')
      .select('place')
      .where('flag', '=', flag)
      .where('place', '<=', lastBefore(before, span))
      .where('place', '>=', span.first)
      .orderBy('place', 'desc')
      .limit(count)
      .execute();
    return rows.map(({ place }) => place);
  };
}

/** The places of the ids that begin so, newest first; null if they are too many to look at. */
async function placesOf(db: Db, begin: string): Promise<number[] | null> {
  const rows = await db
    .selectFrom('record_details')
    .select('place')
    .where('id', '>=', begin)
    .where('id', '<', afterAll(begin))
    .limit(MAX_LOOKS + 1)
    .execute();
  if (rows.length > MAX_LOOKS) return null;
  return rows.map(({ place }) => place).sort((one, other) => other - one);
}

function listed(places: readonly number[], span: Span): Stream<number> {
  return async (before, count) =>
    places.filter((place) => place <= lastBefore(before, span) && place >= span.first).slice(0, count);
}

/** Places have no gap, so nothing has to be read to know them. */
function everyPlace(span: Span): Stream<number> {
  return async (before, count) => {
    const last = lastBefore(before, span);
    const length = Math.max(0, Math.min(count, last - span.first + 1));
    return Array.from({ length }, (_, index) => last - index);
  };
}

function lastBefore(before: number | null, { last }: Span): number {
  return before === null ? last : Math.min(last, before - 1);
}

/** The places of a time, if times never decrease: an operator's act may have set them back, and then only rows tell. */
async function spanOf(db: Db, { from_ms, to_ms }: RecordFilter): Promise<Span> {
  const { size } = await readHead(db);
  const whole = { first: 1, last: size };
  if ((from_ms === undefined && to_ms === undefined) || (await wasSetBack(db))) return whole;
  const at = db.selectFrom('record_details').select('place').limit(1);
  const first =
    from_ms === undefined
      ? undefined
      : await at.where('at_ms', '>=', from_ms).orderBy('at_ms').orderBy('place').executeTakeFirst();
  const last =
    to_ms === undefined
      ? undefined
      : await at
          .where('at_ms', '<', to_ms)
          .orderBy('at_ms', 'desc')
          .orderBy('place', 'desc')
          .executeTakeFirst();
  return {
    first: from_ms === undefined ? whole.first : (first?.place ?? size + 1),
    last: to_ms === undefined ? whole.last : (last?.place ?? 0),
  };
}

async function wasSetBack(db: Db): Promise<boolean> {
  const act = await db
    .selectFrom('record_details')
    .select('place')
    .where('principal_id', '=', operatorPrincipal.id)
    .where(notByIndex(db, 'operation'), 'in', ['clock.accept', 'restore.accept'])
    .limit(1)
    .executeTakeFirst();
  return act !== undefined;
}

/** The records at these places that fit. SQLite would look for them in an index instead. */
async function fetchRecords(
  db: Db,
  { filter, places, limit }: { filter: RecordFilter; places: readonly number[]; limit: number },
): Promise<StoredRecord[]> {
  const { flag, environment, principal, operation, outcome, request, id, from_ms, to_ms } = filter;
  let query = db
    .selectFrom('record_details')
    .innerJoin('leaves', 'leaves.place', 'record_details.place')
    .select(STORED_RECORD)
    .where(isAmong(db, 'record_details.place', places));
  if (flag !== undefined) {
    query = query.where((e) =>
      e.exists(
        e
          .selectFrom('record_flags')
          .select('record_flags.place')
          .where('record_flags.flag', '=', flag)
          .whereRef('record_flags.place', '=', 'record_details.place'),
      ),
    );
  }
  if (environment !== undefined)
    query = query.where(notByIndex(db, 'record_details.environment'), 'in', [environment, EVERY_ENVIRONMENT]);
  if (principal !== undefined) {
    query = query.where((e) =>
      e.or([
        e(notByIndex(db, 'record_details.principal_id'), '=', principal),
        e('record_details.person', 'in', [principal, foldPerson(principal)]),
      ]),
    );
  }
  if (operation !== undefined) query = query.where('record_details.operation', '=', operation);
  if (outcome !== undefined) query = query.where('record_details.outcome', '=', outcome);
  if (request !== undefined) query = query.where(notByIndex(db, 'record_details.request_id'), '=', request);
  if (id !== undefined) {
    const own = notByIndex(db, 'record_details.id');
    query = query.where(own, '>=', id).where(own, '<', afterAll(id));
  }
  if (from_ms !== undefined) query = query.where(notByIndex(db, 'record_details.at_ms'), '>=', from_ms);
  if (to_ms !== undefined) query = query.where(notByIndex(db, 'record_details.at_ms'), '<', to_ms);
  return query.orderBy('record_details.place', 'desc').limit(limit).execute();
}
