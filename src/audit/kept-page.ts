import { z } from 'zod';
import type { ControlDeps } from '../decide/control.ts';
import type { DecisionRecord } from '../log/details.ts';
import type { RecordV1 } from '../log/record.ts';
import { listEvaluationsOf } from '../store/evaluations.ts';
import { readHead } from '../store/log-head.ts';
import { findRecord } from '../store/records.ts';
import { listReplayRows, type ReplayRow } from '../store/replays.ts';
import type { Db } from '../store/statement.ts';
import { type KeptDecision, keptDecisionSchema } from './verify/kept-decisions.ts';

/** A page of what is kept beside the log. */
export const keptPageSchema = z
  .object({
    items: z.array(keptDecisionSchema),
    to_place: z.int().min(0).meta({ description: 'The number of records of the log.' }),
    next_place: z.int().nullable().meta({ description: '`from_place` of the next page; null at the end.' }),
  })
  .meta({ id: 'KeptDecisionPage' });
export type KeptPage = z.infer<typeof keptPageSchema>;

/** The number of records in memory at once, and the length of text after which a page ends. */
const ROWS_AT_ONCE = 25;
const PAGE_LENGTH = 4_000_000;
/** About how long a row of evaluations is. */
const ROW_LENGTH = 200;

/** The inputs and results of decisions with their salts, oldest first. Records of version 0 have none. */
export async function keptPage(
  { store: { read } }: Pick<ControlDeps, 'store'>,
  { from_place, limit }: { from_place: number; limit: number },
): Promise<KeptPage> {
  const { size } = await readHead(read);
  const end = Math.min(size, from_place + limit - 1);
  const items: KeptDecision[] = [];
  let place = from_place;
  let length = 0;
  while (place <= end && length < PAGE_LENGTH) {
    const rows = await listReplayRows(read, { from: place, to: end, limit: ROWS_AT_ONCE });
    for (const row of rows) {
      const item = await toKept(read, row);
      if (item === null) continue;
      items.push(item);
      if ('input' in item) length += lengthOf(item);
    }
    place = (rows.at(-1)?.place ?? end) + 1;
  }
  return { items, to_place: size, next_place: place <= size ? place : null };
}

/** Null if nothing is beside the leaf: it is of version 0, or what was there is missing without a record that says so. */
async function toKept(db: Db, row: ReplayRow): Promise<KeptDecision | null> {
  const { place, schema_version, salt, input, result, erased_by } = row;
  if (schema_version === 0) return null;
  if (salt === null || input === null || result === null)
    return erased_by === null ? null : { place, erased_by };
  const lists = await listsBeside(db, row);
  const evaluations = isOfEvaluations(input) ? await listEvaluationsOf(db, place) : undefined;
  return {
    ...{ place, salt, input, result },
    ...(lists === undefined ? {} : { lists }),
    ...(evaluations === undefined ? {} : { evaluations }),
  };
}

/** Texts within an input have their quotation marks escaped, so the member is found without parsing it. */
function isOfEvaluations(input: string): boolean {
  return input.includes('"operation":"evaluations.counted"');
}

/** About how many characters an item takes. */
function lengthOf({ input, result, evaluations = [] }: Extract<KeptDecision, { salt: string }>): number {
  return input.length + result.length + evaluations.length * ROW_LENGTH;
}

async function listsBeside(db: Db, { id, leaf }: ReplayRow): Promise<Record<string, unknown[]> | undefined> {
  const isShort = !Array.isArray((JSON.parse(leaf) as Pick<RecordV1, 'flags'>).flags);
  const found = isShort && id !== null ? await findRecord(db, id) : undefined;
  if (found === undefined) return undefined;
  const { lists } = JSON.parse(found.details) as DecisionRecord;
  return lists as Record<string, unknown[]> | undefined;
}
