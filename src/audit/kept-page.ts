import { z } from 'zod';
import type { ControlDeps } from '../decide/control.ts';
import type { DecisionRecord } from '../log/details.ts';
import type { RecordV1 } from '../log/record.ts';
import { ArchiveFault, readInput } from '../store/archived-inputs.ts';
import { findDeletionOf } from '../store/archives.ts';
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
  { store }: Pick<ControlDeps, 'store'>,
  { from_place, limit }: { from_place: number; limit: number },
): Promise<KeptPage> {
  const { read } = store;
  const { size } = await readHead(read);
  const end = Math.min(size, from_place + limit - 1);
  const items: KeptDecision[] = [];
  let place = from_place;
  let length = 0;
  while (place <= end && length < PAGE_LENGTH) {
    const rows = await listReplayRows(read, { from: place, to: end, limit: ROWS_AT_ONCE });
    for (const row of rows) {
      const item = await toKept(store, row);
      if (item === null) continue;
      items.push(item);
      if ('input' in item) length += lengthOf(item);
    }
    place = (rows.at(-1)?.place ?? end) + 1;
  }
  return { items, to_place: size, next_place: place <= size ? place : null };
}

/** Null if nothing is beside the leaf: it is of version 0, or what was there is missing without a record that says so. */
async function toKept(store: ControlDeps['store'], row: ReplayRow): Promise<KeptDecision | null> {
  const { place, schema_version, salt, result, erased_by } = row;
  const db = store.read;
  if (schema_version === 0) return null;
  if (salt === null || row.input === null || result === null)
    return erased_by === null ? null : { place, erased_by };
  const input = await readKept(store, row);
  if (input === null || input instanceof ArchiveFault)
    return input && { place, archive: { code: input.code, detail: input.message } };
  const lists = await listsBeside(db, row);
  return {
    ...{ place, salt, input, result },
    ...(lists === undefined ? {} : { lists }),
    ...(isOfEvaluations(input) ? await evaluationsOf(db, place) : {}),
  };
}

async function readKept(store: ControlDeps['store'], row: ReplayRow): Promise<string | null | ArchiveFault> {
  try {
    return await readInput(store, row);
  } catch (error) {
    if (error instanceof ArchiveFault) return error;
    throw error;
  }
}

/** The rows of a record that counts evaluations, or which record deleted them. */
async function evaluationsOf(
  db: Db,
  place: number,
): Promise<Pick<Extract<KeptDecision, { salt: string }>, 'evaluations' | 'evaluations_deleted_by'>> {
  const evaluations = await listEvaluationsOf(db, place);
  const deletedBy = evaluations.length === 0 ? await findDeletionOf(db, place) : null;
  return deletedBy === null ? { evaluations } : { evaluations_deleted_by: deletedBy };
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
