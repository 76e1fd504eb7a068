import { isAscii, isUtf8 } from 'node:buffer';
import { z } from 'zod';
import { canonicalJson, DIGEST_PATTERN, saltedDigest } from '../../json.ts';
import type { Lists } from '../../log/record.ts';
import { MeaningFault } from './fault.ts';

/*
 * Leaves as a stranger reads them: nothing is believed about their form.
 */

const digest = z.string().regex(DIGEST_PATTERN);
const shortSchema = z.object({ count: z.int().min(0), digest });

function listOf<Item extends z.ZodType>(item: Item) {
  return z.union([z.array(item), shortSchema]);
}

const version = z.int().min(0);
const scopeName = z.string().nullable();
const moveSchema = z.object({
  digest: digest.nullable(),
  environment: z.string().nullable(),
  flag: z.string(),
  namespace: z.string().optional(),
  retired: z.literal(true).optional(),
  version_after: version,
  version_before: version,
});
const stageSchema = z.object({ environments: z.array(z.string()), name: z.string() });
const bundle = { archive: z.string(), hash: z.string() };

/** The members of version 1 of the leaf that say something about other records. */
const recordSchema = z.object({
  activates: z
    .object({
      ...bundle,
      followers: z.array(z.object({ ...bundle, stage: z.string() })).optional(),
      stage: z.string().optional(),
      stages: listOf(stageSchema).optional(),
    })
    .nullable(),
  at_ms: z.int().min(0),
  authors: listOf(z.string()),
  digests: z.object({ details: digest, input: digest, result: digest }),
  environment: z.string().nullable(),
  erases: z.object({ places: listOf(z.int().min(1)) }).nullable(),
  flags: listOf(moveSchema),
  follows: z
    .object({ epoch: z.int(), origin: z.string().nullable(), root: z.string().nullable(), size: version })
    .optional(),
  freeze: z
    .object({
      change: z.enum(['engaged', 'lifted']),
      environment: scopeName,
      flag: scopeName,
      id: z.string(),
      namespace: scopeName,
      scope: z.enum(['all', 'environment', 'namespace', 'flag']),
    })
    .nullable(),
  guardrail: z.string().nullable(),
  id: z.string(),
  operation: z.string(),
  outcome: z.object({
    codes: listOf(z.string()),
    effect: z.enum(['allow', 'hold', 'deny']),
    note: z.string().nullable(),
  }),
  passed: z.object({ exception: z.boolean(), freezes: listOf(z.string()) }),
  person: z.string().nullable(),
  policy_hash: z.string(),
  principal: z.object({ kind: z.string() }),
  request: z
    .object({
      digest: z.string(),
      from: z.string().nullable(),
      id: z.string(),
      kind: z.string(),
      to: z.string(),
    })
    .nullable(),
  schema: z.object({
    guardrails: z.int().nullable(),
    input: z.int().nullable(),
    record: z.literal(1),
    result: z.int(),
  }),
  snapshot: z.object({ digest, environment: z.string(), size: version, version }).optional(),
  stage: z.string().nullable(),
  votes: listOf(z.string()),
});
type Parsed = z.infer<typeof recordSchema>;
// Every leaf of a log is read.
const compiledRecord = z.compile(recordSchema, { strict: true });

/** How one version of a flag moved. */
export type Move = z.infer<typeof moveSchema>;
/** A freeze as a record engages or lifts it. */
export type LeafFreeze = NonNullable<Parsed['freeze']>;
/** A stage of the promotion of policies. */
export type LeafStage = z.infer<typeof stageSchema>;

/** A record that is verified. Lists that its leaf has only a digest of are null, unless they were given and fit. */
export interface LogRecord
  extends Omit<Parsed, 'activates' | 'authors' | 'erases' | 'flags' | 'outcome' | 'passed' | 'votes'> {
  place: number;
  activates:
    | (Omit<NonNullable<Parsed['activates']>, 'stages'> & {
        /** Null: the record does not say. */
        stages: readonly LeafStage[] | null;
      })
    | null;
  authors: readonly string[] | null;
  effect: Parsed['outcome']['effect'];
  codes: readonly string[] | null;
  note: string | null;
  /** Whether it erases anything: details, or only names. */
  isErasure: boolean;
  erased: readonly number[] | null;
  flags: readonly Move[] | null;
  passed: readonly string[] | null;
  votes: readonly string[] | null;
}

/** A leaf: a record, or what is known of one that cannot be read. */
export type Leaf = { version: 1; parsed: Parsed } | { version: 0 | 'unknown' };

/** What is kept beside a leaf, for its lists. */
export interface BesideLeaf {
  salt: string;
  /** The lists of a record that was too large. */
  lists?: Readonly<Record<string, unknown>> | undefined;
}

const leafSchema = z.compile(z.object({ schema: z.object({ record: z.int() }) }), { strict: true });

/**
 * Reads a leaf.
 *
 * @throws MeaningFault if it is not the canonical JSON of a record
 */
export function readLeaf(bytes: Buffer, place: number): Leaf {
  const value = parse(bytes, place);
  const known = leafSchema.safeParse(value);
  if (!known.success) throw malformed(place, known.error);
  const { record } = known.data.schema;
  if (record !== 1) return { version: record === 0 ? 0 : 'unknown' };
  const parsed = compiledRecord.safeParse(value);
  if (!parsed.success) throw malformed(place, parsed.error);
  return { version: 1, parsed: parsed.data };
}

function parse(bytes: Buffer, place: number): unknown {
  // Nearly every leaf has nothing else, and is read faster so.
  const isPlain = isAscii(bytes);
  const text = bytes.toString(isPlain ? 'latin1' : 'utf8');
  try {
    const value: unknown = JSON.parse(text);
    // Members that occur twice, white space, numbers that cannot be kept exactly and bytes that are no UTF-8 would be read as
    // something else.
    if ((isPlain || isUtf8(bytes)) && JSON.stringify(value) === text) return value;
  } catch {
    // Said below.
  }
  throw new MeaningFault('record_malformed', place, 'its leaf is not canonical JSON');
}

function malformed(place: number, { issues: [issue] }: z.ZodError): MeaningFault {
  const at = issue === undefined ? '' : ` at /${issue.path.join('/')}`;
  return new MeaningFault('record_malformed', place, `its leaf is not that of a record${at}`);
}

// Made once: a schema costs more than a record.
const text = z.string();
const placeOf = z.int();

/**
 * A record with its lists.
 *
 * @param beside what was given beside the leaf
 * @returns the record, and the labels of lists that are not known
 */
export function toRecord(
  parsed: Parsed,
  place: number,
  beside: BesideLeaf | null,
): { record: LogRecord; withheld: string[] } {
  const withheld: string[] = [];
  const resolve = <Item>(
    label: keyof Lists,
    list: Item[] | z.infer<typeof shortSchema>,
    item: z.ZodType<Item>,
  ) => {
    if (Array.isArray(list)) return list;
    const given = z.array(item).safeParse(beside?.lists?.[label]);
    if (given.success && beside !== null) {
      if (saltedDigest(beside.salt, label, canonicalJson(given.data)) === list.digest) return given.data;
      throw new MeaningFault('input_other', place, `the given list ${label} is not the one that was hashed`);
    }
    withheld.push(label);
    return null;
  };
  const { activates, authors, erases, flags, outcome, passed, votes, ...same } = parsed;
  const record: LogRecord = {
    ...same,
    place,
    activates: activates && {
      ...activates,
      stages:
        activates.stages === undefined ? null : resolve('activates.stages', activates.stages, stageSchema),
    },
    authors: resolve('authors', authors, text),
    effect: outcome.effect,
    codes: resolve('outcome.codes', outcome.codes, text),
    note: outcome.note,
    isErasure: erases !== null,
    erased: erases === null ? [] : resolve('erases.places', erases.places, placeOf),
    flags: resolve('flags', flags, moveSchema),
    passed: resolve('passed.freezes', passed.freezes, text),
    votes: resolve('votes', votes, text),
  };
  return { record, withheld };
}
