import { sql } from 'kysely';
import type { Clock } from '../../clock.ts';
import { findMeta, setMeta } from '../installation.ts';
import type { Db, Tx } from '../statement.ts';

/*
 * The notes of the last batch of each writer, by which it finds out what became of a commit whose connection was lost. Nobody else
 * asks for them, so they go with their writer. That of a process that was killed goes once it has not changed for a week.
 *
 * A process may have been stopped for as long, and ask then. So each writer has a note from its beginning on, and one that finds
 * none knows that it was removed: it takes its batch neither for committed nor for undone, and ends.
 */

/** The meta key of what was noted when somebody last looked for old notes. */
export const WRITERS_SEEN = 'writers_seen';
/** How long a note is kept that does not change. */
const KEPT_MS = 7 * 24 * 60 * 60 * 1000;

/** What was noted at a time: the state of each note by its writer. */
interface Seen {
  at_ms: number;
  notes: Record<string, string>;
}

/** Notes a writer that begins, and removes the notes of those that have long ended. */
export async function noteWriter(db: Db, writer: string, clock: Clock): Promise<void> {
  await sql`insert into writers (writer, batch, asked) values (${writer}, 0, 0)`.execute(db);
  const nowMs = clock();
  const stored = await findMeta(db, WRITERS_SEEN);
  const seen = stored === null ? null : (JSON.parse(stored) as Seen);
  // A time that is still to come was that of a wrong clock.
  if (seen !== null && seen.at_ms <= nowMs && nowMs - seen.at_ms < KEPT_MS) return;
  if (seen !== null && seen.at_ms <= nowMs) {
    for (const [old, state] of Object.entries(seen.notes))
      await sql`delete from writers where writer = ${old} and batch || ' ' || asked = ${state}`.execute(db);
  }
  const { rows } = await sql<{ writer: string; state: string }>`
    select writer, batch || ' ' || asked as state from writers where writer <> ${writer}`.execute(db);
  const notes = Object.fromEntries(rows.map((row) => [row.writer, row.state]));
  await setMeta(db as Tx, WRITERS_SEEN, JSON.stringify({ at_ms: nowMs, notes } satisfies Seen));
}

/** Removes the note of a writer that has ended. */
export async function forgetWriter(db: Db, writer: string): Promise<void> {
  await sql`delete from writers where writer = ${writer}`.execute(db);
}
