import { sql } from 'kysely';
import { isAmong } from './dialect.ts';
import type { RequestsTable } from './schema.ts';
import type { Db } from './statement.ts';

/*
 * What waits for a person, by indices alone: they hold open requests only, so that their size does not depend on how many
 * were ever closed.
 */

/** The gates that some pending request has: one look at the index each. */
export async function listGates(db: Db): Promise<string[]> {
  const { rows } = await sql<{ gate: string }>`with recursive found (gate) as (
      select min(gate) from requests where gate >= ''
      union all
      select (select min(gate) from requests where gate > found.gate) from found where found.gate is not null
    ) select gate from found where gate is not null`.execute(db);
  return rows.map(({ gate }) => gate);
}

/** Whose inbox it is. */
interface OfPerson {
  gate: string;
  /** All names of the person. */
  names: readonly string[];
}

/** The pending requests of a gate that a person neither proposed nor has voted on as they are now. */
function atGate(db: Db, { gate, names }: OfPerson) {
  return db
    .selectFrom('requests')
    .where('gate', '=', gate)
    .where((e) => e.or([e('owner', 'is', null), e.not(isAmong(db, 'owner', names))]))
    .where((e) =>
      e.not(
        e.exists(
          e
            .selectFrom('votes')
            .select('votes.person')
            .whereRef('votes.request_id', '=', 'requests.id')
            .where(isAmong(db, 'votes.person', names))
            .whereRef('votes.digest', '=', 'requests.digest')
            .where('votes.voided_ms', 'is', null),
        ),
      ),
    );
}

/** The ids of the next such requests after one, oldest first. */
export async function listAtGate(
  db: Db,
  { after, limit, ...of }: OfPerson & { after: string; limit: number },
): Promise<string[]> {
  const rows = await atGate(db, of)
    .select('requests.id')
    .where('requests.id', '>', after)
    .orderBy('requests.id')
    .limit(limit)
    .execute();
  return rows.map(({ id }) => id);
}

/** How many such requests there are, counted up to a limit. */
export async function countAtGate(db: Db, { limit, ...of }: OfPerson & { limit: number }): Promise<number> {
  const row = await db
    .selectFrom(atGate(db, of).select('requests.id').limit(limit).as('found'))
    .select((e) => e.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  return Number(row.count);
}

/** The next open requests that a person proposed, after one, oldest first. */
export function listOwned(
  db: Db,
  { owner, after, limit }: { owner: string; after: string; limit: number },
): Promise<RequestsTable[]> {
  return db
    .selectFrom('requests')
    .selectAll()
    .where('owner', '=', owner)
    .where('id', '>', after)
    .orderBy('id')
    .limit(limit)
    .execute();
}

/** How many open requests a person has, counted up to a limit. */
export async function countOwned(
  db: Db,
  { owner, limit }: { owner: string; limit: number },
): Promise<number> {
  const owned = db.selectFrom('requests').select('id').where('owner', '=', owner).limit(limit);
  const row = await db
    .selectFrom(owned.as('found'))
    .select((e) => e.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  return Number(row.count);
}

/** The requests with these ids, oldest first. */
export function listByIds(db: Db, ids: readonly string[]): Promise<RequestsTable[]> {
  if (ids.length === 0) return Promise.resolve([]);
  return db
    .selectFrom('requests')
    .selectAll()
    .where(isAmong(db, 'id', ids))
    .orderBy('id')
    .execute();
}
