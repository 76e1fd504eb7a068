import { z } from 'zod';
import { MARK_KEPT, MARK_REPLACED } from './acknowledged.ts';
import { findMeta } from './installation.ts';
import { WRITERS_SEEN } from './postgres/writers.ts';
import { WRITTEN_BY } from './schema-version.ts';
import type { Db } from './statement.ts';

/*
 * What a database says of a move to another one. Of the two, never more than one may be written: both would go on with the
 * same log, in two ways.
 */

/** The meta key in a database that was, or is being, copied: where to. */
export const MOVED_TO = 'moved_to';
/** The meta key in a database that does not have the whole copy yet: of what. */
export const COPY_INCOMPLETE = 'copy_incomplete';
/** The meta key in a database that is a complete copy: of what. */
export const COPY_OF = 'copy_of';

/** What both databases of a move say of it. */
const moveSchema = z.object({
  /** The id of the move. */
  move: z.string(),
  /** The two databases, as they may be shown. */
  from: z.string(),
  to: z.string(),
  at_ms: z.number(),
  /** In the database that was copied: whether the copy was complete once, so that a broker may have used it. */
  complete: z.boolean().optional(),
});
export type Move = z.infer<typeof moveSchema>;

/** The keys of `meta` that are about a place and not about the installation. They are not copied. */
export const OF_THE_PLACE: readonly string[] = [
  MOVED_TO,
  COPY_INCOMPLETE,
  COPY_OF,
  MARK_KEPT,
  MARK_REPLACED,
  WRITTEN_BY,
  WRITERS_SEEN,
  'opened',
];

/** What a database says under one of the keys of this file, or null. */
export async function findMove(db: Db, key: string): Promise<Move | null> {
  const text = await findMeta(db, key);
  return text === null ? null : moveSchema.parse(JSON.parse(text));
}

/** @throws Error if the database was copied to another one, or is an incomplete copy */
export async function assertNotMoved(db: Db, shown: string): Promise<void> {
  const incomplete = await findMove(db, COPY_INCOMPLETE);
  if (incomplete !== null)
    throw new Error(
      `the database ${shown} is an incomplete copy of ${incomplete.from}. Finish it with "countersign store copy --from ${incomplete.from} --to ADDRESS", then start again`,
    );
  const moved = await findMove(db, MOVED_TO);
  if (moved === null) return;
  throw new Error(
    `the database ${shown} was copied to ${moved.to} at ${new Date(moved.at_ms).toISOString()}, and is no longer written: start the broker with that database. ` +
      `If that one is given up, "countersign store reopen ${shown}" lets a broker use this one again`,
  );
}
