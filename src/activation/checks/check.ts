import type { RevocationChecks } from '../../decide/revocations.ts';
import type { AccessAnswer } from '../../policy/access.ts';
import type { GuardedResult } from '../../policy/guardrails.ts';
import type { Policy, Question } from '../../policy/policies.ts';
import type { Principal } from '../../principal.ts';
import type { Db } from '../../store/statement.ts';

/*
 * Checks of a candidate: what would change if it became the active policy. All of them together are its report
 * (`report.ts`), which approvals cover. Policies are asked in a thread that may be ended at any moment (`thread.ts`); what
 * they are asked about is read from the store here, in bounded parts.
 */

/** The two policies that are compared. */
export const SIDES = ['active', 'candidate'] as const;
export type Side = (typeof SIDES)[number];

/** The same of both policies. */
export type Both<T> = Readonly<Record<Side, T>>;

/** Whether two policies have the same rules, and so differ in their data only. */
export function isSameModule({ active, candidate }: Both<Pick<Policy, 'module'>>): boolean {
  return active.module === candidate.module;
}

/** A question, at a time. */
export interface TimedQuestion {
  question: Question;
  now_ms: number;
}

/** The part of the decisions that a stage makes. */
export interface CheckScope {
  environments: readonly string[];
  /** Whether it is the last stage, or the only one, which also decides what is about no environment. */
  isLast: boolean;
}

/**
 * What the policies decide of a stage; null: everything.
 *
 * @param own the earlier stages with a policy of their own; the last stage decides the others
 */
export function scopeOfStage(
  { active, candidate }: Both<Policy>,
  stage: string | null,
  own: ReadonlySet<string>,
): CheckScope {
  const { stages } = active.broker;
  if (!stages.some(({ name }) => name === stage)) {
    const all = [active, candidate].flatMap(({ broker }) => [...broker.environments.keys()]);
    return { environments: [...new Set(all)].sort(), isLast: true };
  }
  const isLast = stages.at(-1)?.name === stage;
  const decided = stages.filter(({ name }) => name === stage || (isLast && !own.has(name)));
  return { environments: decided.flatMap(({ environments }) => environments).sort(), isLast };
}

/** What a check is given. */
export interface CheckContext {
  /** Committed state. */
  read: Db;
  /** Both policies, for what they say of themselves: data, environments, hash. They MUST be asked by {@link ask} only. */
  policies: Both<Policy>;
  /** What the policies decide, where there are several stages. */
  scope: CheckScope;
  now_ms: number;
  /** Who is revoked, under the names of the active policy. */
  revocations: RevocationChecks<Db>;
  /**
   * Asks both policies the same questions, each under its own zones, persons and kinds of environments. Some hundred at a
   * time; further calls wait.
   *
   * @returns the answers in the order of the questions
   * @throws BrokerError `invalid_change` if a policy takes too much time or memory, which ends all checks
   */
  ask(questions: readonly TimedQuestion[]): Promise<Both<GuardedResult>[]>;
  /** Asks `countersign/access` of both policies; null for one without. @throws as {@link ask} */
  access(principals: readonly Principal[]): Promise<Both<AccessAnswer | null>>;
  /** Notes how much of the check is done. */
  advance(done: number, total: number): void;
}

/** One check. Its result is one member of the report: JSON in snake_case, equal for equal state and policies. */
export interface Check<Result> {
  run(context: CheckContext): Promise<Result>;
  /**
   * What is worse than in the report that was approved, as a sentence for people; null if nothing. Called when the request
   * is to be applied, with what was found just before.
   */
  worse(approved: Result, present: Result): string | null;
  /** Whether it found no difference between the policies. */
  isNothing(result: Result): boolean;
  /**
   * Whatever the result depends on besides the two policies, in the state of a write. What was found for another state is
   * found again before the write. Without it, what was found within the last minute is used.
   */
  stateOf?(db: Db): Promise<string>;
}
