import { z } from 'zod';
import { TIERS } from '../../flags/model.ts';
import { canonicalJson } from '../../json.ts';
import type { Operation } from '../../operations.ts';
import { RESULT_VERSION } from '../../policy/decision.ts';
import { GUARDRAILS_VERSION, type GuardedResult } from '../../policy/guardrails.ts';
import { INPUT_SCHEMA_VERSION, type PolicyInput } from '../../policy/input.ts';
import type { Policy, Question } from '../../policy/policies.ts';
import type { ReplayRow } from '../../store/replays.ts';
import type { Both } from './check.ts';

/*
 * The backtest: recorded decisions are asked again, as new questions, of the active policy and of a candidate. Pure
 * functions; `thread-worker.ts` runs them on records, and `run.ts` counts what they find.
 */

/** The part of a record that a backtest needs. */
export type BacktestRow = Pick<ReplayRow, 'place' | 'schema_version' | 'leaf' | 'input' | 'result'>;

/** Why a record is left out. */
export const SKIPPED = {
  no_policy: 'no policy made the decision',
  other_stage: 'another stage decided it',
  erased: 'its input was erased',
  archived: 'its input is in an archive',
  record_version_0: 'its record is older than the versions of records',
  input_version: 'its input has an older version, or one that this broker does not know',
} as const;
export type Skipped = keyof typeof SKIPPED;

const answerSchema = z.object({ effect: z.enum(['allow', 'hold', 'deny']), reasons: z.array(z.string()) });

/** A decision that would change, without its id. */
const changeSchema = z.object({
  operation: z.string(),
  environment: z.string().nullable(),
  /** The highest tier among the flags of the request; null without flags. */
  tier: z.enum(TIERS).nullable(),
  /** Codes of reasons, in order. */
  from: answerSchema,
  to: answerSchema,
  /** True if effect and reasons stay, and only the obligations change. */
  only_obligations: z.boolean(),
});

/** Decisions that would change in the same way. */
export const changeGroupSchema = changeSchema.extend({
  decisions: z.int().min(1),
  /** The ids of the newest of them. */
  examples: z.array(z.string()),
});
export type ChangeGroup = z.infer<typeof changeGroupSchema>;

/** What becomes of one record. */
export type Backtested =
  | { outcome: 'same' }
  | { outcome: 'skipped'; why: Skipped }
  | { outcome: 'changed'; id: string; change: z.infer<typeof changeSchema> };

/** The members of a leaf that matter here. Record version 1 and later. */
interface Leaf {
  id: string;
  operation: string;
  policy_hash: string;
  /** Absent in records from before there were stages. */
  stage?: string | null;
  schema: { input: number | null; result: number; guardrails: number | null };
}

/** Asks one policy. The caller measures, and may end it. */
export type Ask = (policy: Policy, question: Question, nowMs: number) => GuardedResult;

/**
 * Asks both policies what was asked when a record was made, under their own zones, persons and kinds of environments.
 *
 * @param compared.stage the stage whose decisions count; null: all
 */
export function backtest(
  row: BacktestRow,
  { policies, stage }: { policies: Both<Policy>; stage: string | null },
  ask: Ask,
): Backtested {
  if (row.schema_version === 0) return { outcome: 'skipped', why: 'record_version_0' };
  const leaf = JSON.parse(row.leaf) as Leaf;
  if (leaf.schema.input === null || leaf.schema.guardrails === null)
    return { outcome: 'skipped', why: 'no_policy' };
  if (stage !== null && (leaf.stage ?? stage) !== stage) return { outcome: 'skipped', why: 'other_stage' };
  if (row.input === null || row.result === null) return { outcome: 'skipped', why: 'erased' };
  if (row.input === '') return { outcome: 'skipped', why: 'archived' };
  if (leaf.schema.input !== INPUT_SCHEMA_VERSION) return { outcome: 'skipped', why: 'input_version' };
  const input = JSON.parse(row.input) as PolicyInput;
  const questionTo = (policy: Policy) => questionOf(input, leaf.operation as Operation, policy);
  const from = isByActive(leaf, policies.active)
    ? (JSON.parse(row.result) as GuardedResult)
    : ask(policies.active, questionTo(policies.active), input.clock.now_ms);
  const to = ask(policies.candidate, questionTo(policies.candidate), input.clock.now_ms);
  if (isSameAnswer(from, to)) return { outcome: 'same' };
  const [before, after] = [answerOf(from), answerOf(to)];
  return {
    outcome: 'changed',
    id: leaf.id,
    change: {
      operation: leaf.operation,
      environment: input.environment?.key ?? null,
      tier: tierOf(input),
      from: before,
      to: after,
      only_obligations: canonicalJson(before) === canonicalJson(after),
    },
  };
}

/** The decision is what the active policy would answer now: it made it, with the present versions. */
function isByActive({ policy_hash, schema }: Leaf, active: Policy): boolean {
  return (
    policy_hash === active.hash &&
    schema.result === RESULT_VERSION &&
    schema.guardrails === GUARDRAILS_VERSION &&
    schema.input === active.broker.input_version
  );
}

/** Zones and persons are derived by the policy itself. */
function questionOf(
  { schema_version: _, clock: __, ...asked }: PolicyInput,
  operation: Operation,
  policy: Policy,
): Question {
  const environment =
    asked.environment === null
      ? null
      : {
          key: asked.environment.key,
          kind: policy.broker.environments.get(asked.environment.key)?.kind ?? 'unknown',
        };
  // An older bundle may have been asked under a former name.
  return { ...asked, operation, environment };
}

/** Whether two answers are the same to people: texts and limits may differ. */
export function isSameAnswer(one: GuardedResult, other: GuardedResult): boolean {
  const told = (result: GuardedResult) => ({ ...answerOf(result), obligations: result.obligations });
  return canonicalJson(told(one)) === canonicalJson(told(other));
}

function answerOf({ effect, reasons }: GuardedResult): z.infer<typeof answerSchema> {
  return { effect, reasons: reasons.map(({ code }) => code) };
}

function tierOf({ request }: PolicyInput): ChangeGroup['tier'] {
  const tiers = (request?.changes ?? []).map(({ flag }) => flag.tier);
  return TIERS.toReversed().find((tier) => (tiers as string[]).includes(tier)) ?? null;
}

/** What a backtest found, in the report. */
export const backtestSchema = z.object({
  decisions: z.int().min(0),
  changed: z.int().min(0),
  /** Records without a decision that can be asked again, by the code of the reason. */
  skipped: z.record(z.string(), z.int()),
  /** The largest first. */
  groups: z.array(changeGroupSchema),
  /** The changed decisions in smaller groups than those. */
  in_other_groups: z.int().min(0),
});
export type BacktestView = z.infer<typeof backtestSchema>;

const MAX_GROUPS = 200;
const MAX_EXAMPLES = 10;
/** The groups that are counted; a change beyond them counts as one of others. */
const MAX_COUNTED = 5000;

/** Counts what a backtest finds, record by record in the order of the log. */
export function createTally(): { add(found: Backtested): void; view(): BacktestView } {
  const groups = new Map<string, ChangeGroup>();
  const skipped = new Map<string, number>();
  let [decisions, changed, beyond] = [0, 0, 0];
  return {
    add: (found) => {
      if (found.outcome === 'skipped') {
        skipped.set(found.why, (skipped.get(found.why) ?? 0) + 1);
        return;
      }
      decisions += 1;
      if (found.outcome === 'same') return;
      changed += 1;
      const key = canonicalJson(found.change);
      const group = groups.get(key);
      if (group !== undefined) {
        group.decisions += 1;
        group.examples = [found.id, ...group.examples].slice(0, MAX_EXAMPLES);
      } else if (groups.size < MAX_COUNTED) {
        groups.set(key, { ...found.change, decisions: 1, examples: [found.id] });
      } else beyond += 1;
    },
    view: () => {
      const sorted = [...groups]
        .toSorted(
          ([one, first], [other, second]) => second.decisions - first.decisions || (one < other ? -1 : 1),
        )
        .map(([, group]) => group);
      const shown = sorted.slice(0, MAX_GROUPS);
      const hidden = sorted.slice(MAX_GROUPS).reduce((sum, group) => sum + group.decisions, beyond);
      return {
        decisions,
        changed,
        skipped: Object.fromEntries([...skipped].toSorted(([one], [other]) => (one < other ? -1 : 1))),
        groups: shown,
        in_other_groups: hidden,
      };
    },
  };
}
