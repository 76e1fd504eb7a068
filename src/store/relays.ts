import type { RelaysTable, ReportedReadsTable } from './schema-relays.ts';
import type { Db, Tx } from './statement.ts';

/** After so long without a report a relay does not count as connected. It reports about every 10 seconds. */
const CONNECTED_MS = 45_000;

/** Since when a relay must have reported to be connected. */
export function connectedSince(nowMs: number): number {
  return nowMs - CONNECTED_MS;
}

/** A relay as it reported last, without the ids of its reports. */
export type RelayRow = Omit<RelaysTable, 'recent'>;

/** Which relay it is. */
export type RelayName = Pick<RelaysTable, 'environment' | 'principal' | 'relay'>;

const COLUMNS = [
  'environment',
  'principal',
  'relay',
  'version',
  'digest',
  'served_ms',
  'reported_ms',
] as const;

/** The number of rows in one statement. */
const ROWS_AT_ONCE = 50;

/** A relay, or undefined if it never reported. */
export function findRelay(
  db: Db,
  { environment, principal, relay }: RelayName,
): Promise<RelaysTable | undefined> {
  return db
    .selectFrom('relays')
    .selectAll()
    .where('environment', '=', environment)
    .where('principal', '=', principal)
    .where('relay', '=', relay)
    .executeTakeFirst();
}

/** Notes what a relay serves. */
export async function writeRelay(tx: Tx, row: RelaysTable): Promise<void> {
  const { environment: _, principal: _principal, relay: _relay, ...told } = row;
  await tx
    .insertInto('relays')
    .values(row)
    .onConflict((conflict) => conflict.columns(['environment', 'principal', 'relay']).doUpdateSet(told))
    .execute();
}

/** The relays that have reported since a time, by their names. @param environment default: all */
export function listRelays(
  db: Db,
  { sinceMs, environment }: { sinceMs: number; environment?: string },
): Promise<RelayRow[]> {
  let query = db.selectFrom('relays').select(COLUMNS).where('reported_ms', '>=', sinceMs);
  if (environment !== undefined) query = query.where('environment', '=', environment);
  return query.orderBy('environment').orderBy('relay').orderBy('principal').execute();
}

/** How many relays of a principal are known in an environment. */
export async function countRelays(
  db: Db,
  { environment, principal }: Pick<RelaysTable, 'environment' | 'principal'>,
): Promise<number> {
  const { count } = await db
    .selectFrom('relays')
    .select((e) => e.fn.countAll<number>().as('count'))
    .where('environment', '=', environment)
    .where('principal', '=', principal)
    .executeTakeFirstOrThrow();
  return Number(count);
}

/** Forgets relays that have not reported since a time. */
export async function forgetRelays(tx: Tx, beforeMs: number): Promise<void> {
  await tx.deleteFrom('relays').where('reported_ms', '<', beforeMs).execute();
}

/**
 * The highest count of a row, however often it is reported: the sum of all rows of a record stays a number that is exact. An inexact
 * one could not be verified in the log, where it would be for ever.
 */
export const MAX_COUNT = 1e12;

/** Forgets the relay of a principal that has been silent for longest, if it is not connected. @returns whether there was one */
export async function forgetSilent(
  tx: Tx,
  { environment, principal, beforeMs }: Pick<RelayName, 'environment' | 'principal'> & { beforeMs: number },
): Promise<boolean> {
  const silent = await tx
    .selectFrom('relays')
    .select('relay')
    .where('environment', '=', environment)
    .where('principal', '=', principal)
    .where('reported_ms', '<', beforeMs)
    .orderBy('reported_ms')
    .limit(1)
    .executeTakeFirst();
  if (silent === undefined) return false;
  await tx
    .deleteFrom('relays')
    .where('environment', '=', environment)
    .where('principal', '=', principal)
    .where('relay', '=', silent.relay)
    .execute();
  return true;
}

/** Adds what was read at relays to what waits to be recorded. */
export async function addReportedReads(tx: Tx, rows: readonly ReportedReadsTable[]): Promise<void> {
  for (let from = 0; from < rows.length; from += ROWS_AT_ONCE) {
    await tx
      .insertInto('reported_reads')
      .values(rows.slice(from, from + ROWS_AT_ONCE))
      .onConflict((conflict) =>
        conflict.column('name').doUpdateSet((e) => ({
          count: e
            .case()
            .when(e('reported_reads.count', '+', e.ref('excluded.count')), '>', MAX_COUNT)
            .then(MAX_COUNT)
            .else(e('reported_reads.count', '+', e.ref('excluded.count')))
            .end(),
          first_ms: e
            .case()
            .when('excluded.first_ms', '<', e.ref('reported_reads.first_ms'))
            .then(e.ref('excluded.first_ms'))
            .else(e.ref('reported_reads.first_ms'))
            .end(),
          last_ms: e
            .case()
            .when('excluded.last_ms', '>', e.ref('reported_reads.last_ms'))
            .then(e.ref('excluded.last_ms'))
            .else(e.ref('reported_reads.last_ms'))
            .end(),
        })),
      )
      .execute();
  }
}

/** Whether anything waits to be recorded. */
export async function hasReportedReads(db: Db): Promise<boolean> {
  return (await db.selectFrom('reported_reads').select('name').limit(1).executeTakeFirst()) !== undefined;
}

/** Takes rows of one reporter out, at most so many; none if nothing waits. */
export async function takeReportedReads(tx: Tx, limit: number): Promise<ReportedReadsTable[]> {
  const first = await tx
    .selectFrom('reported_reads')
    .select('reporter')
    .orderBy('name')
    .limit(1)
    .executeTakeFirst();
  if (first === undefined) return [];
  const rows = await tx
    .selectFrom('reported_reads')
    .selectAll()
    .where('reporter', '=', first.reporter)
    .orderBy('name')
    .limit(limit)
    .execute();
  for (let from = 0; from < rows.length; from += ROWS_AT_ONCE) {
    const names = rows.slice(from, from + ROWS_AT_ONCE).map(({ name }) => name);
    await tx.deleteFrom('reported_reads').where('name', 'in', names).execute();
  }
  return rows;
}

/** Those of some keys that name no flag, also none that was retired. */
export async function listUnknownFlags(db: Db, keys: readonly string[]): Promise<string[]> {
  const known = new Set<string>();
  for (let from = 0; from < keys.length; from += ROWS_AT_ONCE) {
    const some = keys.slice(from, from + ROWS_AT_ONCE);
    for (const { key } of await db.selectFrom('flags').select('key').where('key', 'in', some).execute())
      known.add(key);
  }
  return keys.filter((key) => !known.has(key));
}
