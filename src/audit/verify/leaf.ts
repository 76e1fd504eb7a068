import { isAscii, isUtf8 } from 'node:buffer';
import { z } from 'zod';
import { canonicalJson, saltedDigest } from '../../json.ts';
import type { Lists } from '../../log/record.ts';
import { MeaningFault } from './fault.ts';
import { moveSchema, type ParsedLeaf, recordSchema, type shortSchema, stageSchema } from './leaf-schema.ts';
import { readPlainLeaf } from './plain-leaf.ts';

/*
 * Leaves as a stranger reads them: nothing is believed about their form.
 */

// Every leaf of a log is read.
const compiledRecord = z.compile(recordSchema, { strict: true });

/** How one version of a flag moved. */
export type Move = z.infer<typeof moveSchema>;
/** A freeze as a record engages or lifts it. */
export type LeafFreeze = NonNullable<ParsedLeaf['freeze']>;
/** A stage of the promotion of policies. */
export type LeafStage = z.infer<typeof stageSchema>;

/** A record that is verified. Lists that its leaf has only a digest of are null, unless they were given and fit. */
export interface LogRecord
  extends Omit<ParsedLeaf, 'activates' | 'authors' | 'erases' | 'flags' | 'outcome' | 'passed' | 'votes'> {
  place: number;
  activates:
    | (Omit<NonNullable<ParsedLeaf['activates']>, 'stages'> & {
        /** Null: the record does not say. */
        stages: readonly LeafStage[] | null;
      })
    | null;
  authors: readonly string[] | null;
  effect: ParsedLeaf['outcome']['effect'];
  codes: readonly string[] | null;
  note: string | null;
  /** Whether it erases anything: details, or only names. */
  isErasure: boolean;
  erased: readonly number[] | null;
  flags: readonly Move[] | null;
  passed: readonly string[] | null;
  /** Whether it serves a user by exception. */
  exception: boolean;
  votes: readonly string[] | null;
}

/** A leaf: a record, or the version of one that cannot be read. */
export type Leaf = ParsedLeaf | 0 | 'unknown';

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
  return readPlainLeaf(bytes) ?? readAnyLeaf(bytes, place);
}

/** The same the long way, which decides what a leaf is. */
export function readAnyLeaf(bytes: Buffer, place: number): Leaf {
  const value = parse(bytes, place);
  const known = leafSchema.safeParse(value);
  if (!known.success) throw malformed(place, known.error);
  const { record } = known.data.schema;
  if (record !== 1) return record === 0 ? 0 : 'unknown';
  const parsed = compiledRecord.safeParse(value);
  if (!parsed.success) throw malformed(place, parsed.error);
  return parsed.data;
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
  parsed: ParsedLeaf,
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
  const { activates, authors, erases, flags, outcome, passed, votes } = parsed;
  // Member by member, which costs a third of copying the rest.
  const record: LogRecord = {
    at_ms: parsed.at_ms,
    digests: parsed.digests,
    environment: parsed.environment,
    follows: parsed.follows,
    freeze: parsed.freeze,
    guardrail: parsed.guardrail,
    id: parsed.id,
    log_key: parsed.log_key,
    operation: parsed.operation,
    person: parsed.person,
    policy_hash: parsed.policy_hash,
    principal: parsed.principal,
    request: parsed.request,
    retention: parsed.retention,
    schema: parsed.schema,
    snapshot: parsed.snapshot,
    stage: parsed.stage,
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
    exception: passed.exception,
    votes: resolve('votes', votes, text),
  };
  return { record, withheld };
}
