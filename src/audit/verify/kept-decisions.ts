import { z } from 'zod';
import { digestOf, saltedDigest } from '../../json.ts';
import { parseExactly } from '../../json-numbers.ts';
import type { BrokerEventName } from '../../operations.ts';
import type { Policy } from '../../policy/policies.ts';
import { replayDecision } from '../../policy/replay.ts';
import { MeaningFault } from './fault.ts';
import type { Findings } from './findings.ts';
import type { BesideLeaf, LogRecord } from './leaf.ts';

/*
 * The inputs and results of decisions, which are kept beside the log, as JSON lines in the order of the log. A line that
 * fits its leaf is what was hashed then, so what it says is evidence, and the decision is made again from it.
 */

const place = z.int().min(1);

/** A line: what is beside one leaf, or that it was erased. */
export const keptDecisionSchema = z.union([
  z.object({
    place,
    salt: z.string().meta({ description: "The record's salt, for the digests of its leaf." }),
    input: z.string().meta({ description: 'The JSON text of the input, as it was evaluated and hashed.' }),
    result: z.string().meta({ description: 'The JSON text of the result, as it was hashed.' }),
    evaluations: z
      .array(
        z.object({
          environment: z.string(),
          workload: z.string().nullable(),
          flag: z.string().nullable(),
          variant: z.string().nullable(),
          count: z.int(),
          first_ms: z.int(),
          last_ms: z.int(),
        }),
      )
      .optional()
      .meta({ description: 'Of a record that counts evaluations: its rows, with pseudonyms.' }),
    evaluations_deleted_by: place.optional().meta({
      description:
        'Of a record whose rows were deleted when they were old: the place of the record that says so.',
    }),
    lists: z
      .record(z.string(), z.array(z.unknown()))
      .optional()
      .meta({ description: 'The lists of a record whose leaf has only their digests.' }),
  }),
  z.object({
    place,
    erased_by: place.meta({ description: 'The place of the record that erased it.' }),
  }),
  z.object({
    place,
    archive: z.object({ code: z.enum(['archive_missing', 'archive_damaged']), detail: z.string() }).meta({
      description: 'Why the input cannot be read from the archive that it is in. It was not erased.',
    }),
  }),
]);
export type KeptDecision = z.infer<typeof keptDecisionSchema>;
type Kept = Extract<KeptDecision, { salt: string }>;

/** The operation of records that count evaluations. */
const EVALUATIONS = 'evaluations.counted' satisfies BrokerEventName;

/** The given inputs and results. */
export interface KeptDecisions {
  /** What is beside the leaf at the next place; null if nothing was given. */
  at(place: number): Promise<BesideLeaf | null>;
  /**
   * Verifies what was given for that place, and makes the decision again.
   *
   * @param record null if its leaf says nothing
   * @throws MeaningFault
   */
  verify(place: number, record: LogRecord | null, findings: Findings): Promise<void>;
  /** @throws MeaningFault if a record was said to be erased, and is not */
  finish(): void;
  /** How many decisions came out the same. */
  replayed(): number;
}

/** Opens the bundle of a policy: its policy, or why there is none. */
export type OpenPolicy = (hash: string) => Promise<Policy | 'bundle_missing' | 'bundle_unusable'>;

/** Reads kept decisions beside a log. @param lines in the order of the log */
export function readKeptDecisions(lines: AsyncIterator<string>, openPolicy: OpenPolicy): KeptDecisions {
  let next: KeptDecision | null = null;
  let isAtEnd = false;
  let lineNumber = 0;
  let replayed = 0;
  // Records whose erasure is said to come later: the place of the record that erases each.
  const erasedBy = new Map<number, number>();
  // The same for rows of evaluations that are said to be deleted.
  const deletedBy = new Map<number, number>();

  async function lineAt(wanted: number): Promise<KeptDecision | null> {
    if (next === null && !isAtEnd) next = await read();
    if (next === null || next.place > wanted) return null;
    if (next.place < wanted)
      throw new MeaningFault(
        'input_other',
        next.place,
        `line ${lineNumber} of the inputs has it again, or not in the order of the log`,
      );
    return next;
  }

  async function read(): Promise<KeptDecision | null> {
    const { value, done } = await lines.next();
    if (done === true) {
      isAtEnd = true;
      return null;
    }
    lineNumber += 1;
    try {
      return keptDecisionSchema.parse(parseExactly(value));
    } catch {
      throw new MeaningFault('input_other', null, `line ${lineNumber} of the inputs is not that of a record`);
    }
  }

  async function replay(record: LogRecord, { input, result }: Kept, findings: Findings): Promise<void> {
    const { place: at, schema, policy_hash, guardrail } = record;
    if (schema.input === null) return findings.gap('no_policy', at);
    const policy = await openPolicy(policy_hash);
    if (typeof policy === 'string') return findings.gap(policy, at);
    const outcome = replayDecision(policy, {
      policy_hash,
      versions: schema,
      input_json: input,
      result: parseExactly(result),
      guardrail,
    });
    switch (outcome.outcome) {
      case 'same':
        replayed += 1;
        return;
      case 'not_replayable':
        if (outcome.code !== 'version_unknown') throw new Error(`a given decision is ${outcome.code}`);
        return findings.gap(outcome.code, at);
      case 'different': {
        const { part, pointer } = outcome.difference;
        throw new MeaningFault(
          part === 'bundle' ? 'input_other' : 'replay_differs',
          at,
          `it comes out differently when it is replayed, first in the ${part}${pointer === '' ? '' : ` at ${pointer}`}`,
        );
      }
    }
  }

  /** What a record erases is what was said to be erased by it. */
  function settle({ place: by, erased, retention }: LogRecord): void {
    for (const [at, claimed] of erasedBy)
      if (claimed === by && (erased === null || erased.includes(at))) erasedBy.delete(at);
    if (retention?.what !== 'evaluations') return;
    for (const [at, claimed] of deletedBy)
      if (claimed === by && at >= retention.from_place && at <= retention.to_place) deletedBy.delete(at);
  }

  /** The rows of a record are those that were counted, or a later record deletes them. */
  function takeCounted(record: LogRecord, line: Kept, findings: Findings): void {
    const { evaluations_deleted_by: by } = line;
    if (by === undefined) {
      assertCounted(record, line, findings);
      return;
    }
    findings.gap('evaluations_deleted', record.place);
    deletedBy.set(record.place, by);
  }

  return {
    at: async (wanted) => {
      const line = await lineAt(wanted);
      return line !== null && 'salt' in line ? line : null;
    },
    verify: async (wanted, record, findings) => {
      if (record !== null) settle(record);
      const line = next;
      if (line === null || line.place !== wanted) {
        if (record !== null) findings.gap('input_missing', wanted);
        return;
      }
      next = null;
      if ('erased_by' in line) {
        findings.gap('erased', wanted);
        erasedBy.set(wanted, line.erased_by);
        return;
      }
      if ('archive' in line) return findings.gap(line.archive.code, wanted);
      if (record === null) return;
      assertHashed(record, line);
      if (record.operation === EVALUATIONS) takeCounted(record, line, findings);
      await replay(record, line, findings);
    },
    finish: () => {
      for (const [claims, done, code] of [
        [erasedBy, 'it is said to be erased', 'input_other'],
        [deletedBy, 'its rows are said to be deleted', 'evaluations_other'],
      ] as const)
        for (const [at, by] of claims)
          throw new MeaningFault(code, at, `${done} by the record at place ${by}, which does not say so`);
    },
    replayed: () => replayed,
  };
}

/** @throws MeaningFault if the rows of a record are not those that its input has the digest of */
function assertCounted({ place: at }: LogRecord, { input, evaluations }: Kept, findings: Findings): void {
  const said = parseExactly(input) as { digest?: unknown };
  if (evaluations === undefined) findings.gap('evaluations_missing', at);
  else if (digestOf(evaluations) !== said.digest)
    throw new MeaningFault('evaluations_other', at, 'its rows do not have the digest in its input');
}

/** @throws MeaningFault if a line is not what was hashed */
function assertHashed({ place: at, digests, effect }: LogRecord, { salt, input, result }: Kept): void {
  if (saltedDigest(salt, 'input', input) !== digests.input)
    throw new MeaningFault('input_other', at, 'the given input does not have the digest in its leaf');
  if (saltedDigest(salt, 'result', result) !== digests.result)
    throw new MeaningFault('result_other', at, 'the given result does not have the digest in its leaf');
  const said: unknown = parseExactly(result);
  if ((said as { effect?: unknown } | null)?.effect !== effect)
    throw new MeaningFault('result_other', at, `its leaf says ${effect}, and its result does not`);
}
