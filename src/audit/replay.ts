import { z } from 'zod';
import type { ControlDeps } from '../decide/control.ts';
import { saltedDigest } from '../json.ts';
import type { RecordV1 } from '../log/record.ts';
import { type Moment, toEpochMs } from '../moment.ts';
import { CorruptBundle } from '../policy/active.ts';
import { BundleError } from '../policy/bundle.ts';
import {
  different,
  NOT_REPLAYABLE,
  type NotReplayable,
  REPLAY_PARTS,
  type Replay,
  replayDecision,
} from '../policy/replay.ts';
import { ArchiveFault, readInput } from '../store/archived-inputs.ts';
import { readHead } from '../store/log-head.ts';
import { findPlaceAt, findReplayRow, listReplayRows, type ReplayRow } from '../store/replays.ts';
import type { Store } from '../store/store.ts';
import { unknownName } from '../unknown-name.ts';

/*
 * Replays of recorded decisions. They read committed state, use no transaction, and yield after each evaluation, so that
 * reads of flags are not delayed.
 */

const notReplayableCodes = Object.keys(NOT_REPLAYABLE) as [NotReplayable, ...NotReplayable[]];

const differenceSchema = z
  .object({
    part: z.enum(REPLAY_PARTS).meta({
      description:
        '`bundle`: the stored bundle is not the one that decided. `input`, `recorded_result`: what is stored is not what was hashed; both values are digests. `result`, `guardrail`: the policy now answers otherwise.',
    }),
    pointer: z.string().meta({ description: 'A JSON Pointer (RFC 6901) into that part; empty: all of it.' }),
    recorded: z.unknown().optional().meta({ description: 'Absent if there is nothing at this place.' }),
    replayed: z.unknown().optional(),
  })
  .meta({ id: 'ReplayDifference' });

/** The outcome of replaying one decision. */
export const replayViewSchema = z
  .object({
    id: z.string().nullable().meta({ description: 'The decision; null if its record does not say.' }),
    place: z.int().min(1),
    policy_hash: z.string().nullable(),
    outcome: z.enum(['same', 'different', 'not_replayable']),
    difference: differenceSchema.nullable().meta({ description: 'The first difference, or null.' }),
    why: z
      .object({
        code: z.enum(notReplayableCodes),
        detail: z.string(),
        erased_by: z.int().nullable().meta({ description: 'The place of the record that erased it.' }),
      })
      .nullable()
      .meta({ description: 'Why it cannot be replayed; null if it can.' }),
  })
  .meta({ id: 'Replay' });
export type ReplayView = z.infer<typeof replayViewSchema>;

/** The outcome of replaying a page of the log. */
export const replayPageSchema = z
  .object({
    from_place: z.int().min(1),
    to_place: z
      .int()
      .min(0)
      .meta({ description: 'The last place of the span. It stays the same for each page.' }),
    next_place: z.int().nullable().meta({ description: '`from_place` of the next page; null at the end.' }),
    same: z.int(),
    different: z.int(),
    not_replayable: z
      .record(z.string(), z.int())
      .meta({ description: 'The number of decisions that cannot be replayed, by the code of the reason.' }),
    first_difference: replayViewSchema.nullable(),
  })
  .meta({ id: 'ReplayPage' });
export type ReplayPage = z.infer<typeof replayPageSchema>;

/** A span of the log; without a start from its beginning, without an end up to now. */
export interface ReplaySpan {
  from_place?: number | undefined;
  /** Not before this time. */
  from?: Moment | undefined;
  /** Inclusive. */
  to_place?: number | undefined;
  /** Before this time. */
  to?: Moment | undefined;
}

/** The number of records in memory at once: each may have an input of some hundred kilobytes. */
const ROWS_AT_ONCE = 25;
/** The time after which a page ends early, so that slow policies don't make calls long. In milliseconds. */
const PAGE_MS = 5000;

/** The dependencies of replays. */
interface ReplayDeps extends Pick<ControlDeps, 'policies'> {
  store: Pick<Store, 'read' | 'archiveFolder'>;
}

/** Replays one decision. @throws BrokerError `not_found` */
export async function replayOne(deps: ReplayDeps, id: string): Promise<ReplayView> {
  const row = await findReplayRow(deps.store.read, id);
  if (row === undefined) throw unknownName({ what: 'decision', name: id });
  return replayRow(deps, row);
}

/**
 * Replays the first decisions of a span.
 *
 * @param limit the maximum number of decisions
 */
export async function replayPage(deps: ReplayDeps, span: ReplaySpan, limit: number): Promise<ReplayPage> {
  const { read } = deps.store;
  const { from, to } = await placesOf(deps, span);
  const page: ReplayPage = {
    from_place: from,
    to_place: to,
    next_place: null,
    same: 0,
    different: 0,
    not_replayable: {},
    first_difference: null,
  };
  const startedMs = performance.now();
  let place = from;
  const end = Math.min(to, from + limit - 1);
  while (place <= end && performance.now() - startedMs < PAGE_MS) {
    const rows = await listReplayRows(read, { from: place, to: end, limit: ROWS_AT_ONCE });
    for (const row of rows) {
      count(page, await replayRow(deps, row));
      await new Promise((resolve) => setImmediate(resolve));
    }
    place = (rows.at(-1)?.place ?? end) + 1;
  }
  return { ...page, next_place: place <= to ? place : null };
}

/** The places of a span, both inclusive. */
async function placesOf(
  { store: { read } }: ReplayDeps,
  { from_place = 1, from, to_place, to }: ReplaySpan,
): Promise<{ from: number; to: number }> {
  const { size } = await readHead(read);
  const placeAt = async (moment: Moment) => (await findPlaceAt(read, toEpochMs(moment))) ?? size + 1;
  return {
    from: Math.max(from_place, from === undefined ? 1 : await placeAt(from)),
    to: Math.min(size, to_place ?? size, to === undefined ? size : (await placeAt(to)) - 1),
  };
}

function count(page: ReplayPage, view: ReplayView): void {
  if (view.outcome !== 'not_replayable') page[view.outcome] += 1;
  else if (view.why !== null) {
    page.not_replayable[view.why.code] = (page.not_replayable[view.why.code] ?? 0) + 1;
  }
  if (view.outcome === 'different') page.first_difference ??= view;
}

async function replayRow(deps: ReplayDeps, row: ReplayRow): Promise<ReplayView> {
  const leaf = row.schema_version === 0 ? null : (JSON.parse(row.leaf) as RecordV1);
  const read = await readRow(deps, row);
  const replay: Outcome =
    read instanceof ArchiveFault ? unreadable(read) : await replayLeaf(deps, read, leaf);
  const about = {
    id: row.id ?? leaf?.id ?? null,
    place: row.place,
    policy_hash: leaf?.policy_hash ?? row.policy_hash,
  };
  switch (replay.outcome) {
    case 'same':
      return { ...about, outcome: 'same', difference: null, why: null };
    case 'different':
      return { ...about, outcome: 'different', difference: replay.difference, why: null };
    case 'not_replayable':
      return { ...about, outcome: 'not_replayable', difference: null, why: whyNot(replay, row) };
  }
}

/** A replay; where an archive cannot be read, with what is wrong with it. */
type Outcome = Replay & { detail?: string };

/** The row with its input, from wherever it is. */
async function readRow({ store }: ReplayDeps, row: ReplayRow): Promise<ReplayRow | ArchiveFault> {
  try {
    return { ...row, input: await readInput(store, row) };
  } catch (error) {
    if (error instanceof ArchiveFault) return error;
    throw error;
  }
}

function unreadable({ code, message }: ArchiveFault): Outcome {
  return { outcome: 'not_replayable', code, detail: message };
}

function whyNot(
  { code, detail = NOT_REPLAYABLE[code] }: { code: NotReplayable; detail?: string },
  { erased_by }: ReplayRow,
): ReplayView['why'] {
  const by = code === 'erased' && erased_by !== null ? ` The record at place ${erased_by} says so.` : '';
  return { code, detail: `${detail}${by}`, erased_by };
}

/** What is hashed says what was decided. What is stored beside it has to match, and has to come out again. */
async function replayLeaf(deps: ReplayDeps, row: ReplayRow, leaf: RecordV1 | null): Promise<Replay> {
  const { input, result, salt, erased_by } = row;
  if (input === null || result === null || salt === null) {
    if (erased_by !== null) return { outcome: 'not_replayable', code: 'erased' };
    // Nothing says that it was erased.
    return different({ part: 'input', pointer: '', recorded: leaf?.digests.input });
  }
  if (leaf === null) return { outcome: 'not_replayable', code: 'record_version_0' };
  const found = {
    input: saltedDigest(salt, 'input', input),
    recorded_result: saltedDigest(salt, 'result', result),
  };
  const hashed = { input: leaf.digests.input, recorded_result: leaf.digests.result };
  for (const part of ['input', 'recorded_result'] as const) {
    if (found[part] !== hashed[part]) {
      return different({ part, pointer: '', recorded: hashed[part], replayed: found[part] });
    }
  }
  const { input: inputVersion, guardrails } = leaf.schema;
  if (inputVersion === null || guardrails === null) return { outcome: 'not_replayable', code: 'no_policy' };
  try {
    const policy = await deps.policies.byHash(deps.store.read, leaf.policy_hash);
    if (policy === null) return { outcome: 'not_replayable', code: 'bundle_missing' };
    return replayDecision(policy, {
      policy_hash: leaf.policy_hash,
      versions: leaf.schema,
      input_json: input,
      result: JSON.parse(result),
      guardrail: leaf.guardrail,
    });
  } catch (error) {
    if (error instanceof BundleError) return { outcome: 'not_replayable', code: 'bundle_unusable' };
    if (!(error instanceof CorruptBundle)) throw error;
    return different({ part: 'bundle', pointer: '', recorded: error.stored, replayed: error.found });
  }
}
