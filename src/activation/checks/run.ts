import type { Clock } from '../../clock.ts';
import { BrokerError } from '../../errors.ts';
import { unpackStoredArchive } from '../../policy/archive.ts';
import type { Bundle } from '../../policy/bundle.ts';
import { BundleError } from '../../policy/bundle-error.ts';
import { type CaseQuestion, caseQuestions, type DecisionCases, readCases } from '../../policy/cases.ts';
import { dataAdvice } from '../../policy/data-advice.ts';
import type { GuardedResult } from '../../policy/guardrails.ts';
import type { InputVersions } from '../../policy/input-versions.ts';
import type { Policy } from '../../policy/policies.ts';
import { decidesIn } from '../../policy/staged-policy.ts';
import { listBacktestRows } from '../../store/replays.ts';
import type { Db } from '../../store/statement.ts';
import { createTally } from './backtest.ts';
import { type Both, type Check, type CheckContext, scopeOfStage, type TimedQuestion } from './check.ts';
import type { Measured, PlaceSpan, Report, StateCheckName, StateChecks } from './report.ts';
import { STATE_CHECKS } from './report.ts';
import { settingsOf } from './settings.ts';
import type { CaseJob, Thread } from './thread.ts';

/** What a run works on. */
export interface Compared {
  bundles: Both<Bundle>;
  policies: Both<Policy>;
  /** The stage that the candidate is for; null if one policy decides everything. */
  stage: string | null;
  /** The earlier stages with a policy of their own, that of the candidate included. */
  own: ReadonlySet<string>;
}

/** How much of a run is done. */
export interface Progress {
  step: 'cases' | 'backtest' | StateCheckName;
  done: number;
  /** 0 while it is not known. */
  total: number;
}

/** The part of a report that depends on the two policies and the span alone. */
export type FixedPart = Omit<Report, StateCheckName | 'changes_nothing'>;
/** The part that depends on the state of the broker. */
export type StatePart = Pick<Report, StateCheckName>;

/** The records in one job: each may have an input of some hundred kilobytes. */
const ROWS_AT_ONCE = 100;
const CASES_AT_ONCE = 100;
/** The failing cases that are shown. */
const MAX_FAILED = 100;

/**
 * The decision cases of the candidate, the backtest of a span, advice, and whether an evaluation took too long.
 *
 * @throws BrokerError `invalid_change` if the candidate takes too much time or memory
 */
export async function runFixed(
  thread: Thread,
  { bundles, policies }: Compared,
  about: { read: Db; inputs: InputVersions; span: PlaceSpan; advance: (progress: Progress) => void },
): Promise<{ part: FixedPart; measured: Measured }> {
  const startedMs = performance.now();
  const decided = await casesOf(bundles.candidate);
  const cases = await runCandidateCases(thread, decided, { ...about, policy: policies.candidate });
  const backtestMs = performance.now();
  const backtest = await runBacktest(thread, about);
  const endMs = performance.now();
  const slowest = thread.slowest();
  const limit_ms = settingsOf(policies.active).evaluation_ms;
  return {
    part: {
      version: 1,
      policy_hash: bundles.candidate.hash,
      archive_digest: bundles.candidate.archive_digest,
      compared_with: bundles.active.hash,
      span: about.span,
      cases,
      backtest,
      warnings: [...noCases(decided), ...dataAdvice(bundles.candidate.data)],
      evaluation: { limit_ms, exceeded: slowest !== null && slowest.ms > limit_ms },
    },
    measured: {
      slowest: slowest === null ? null : { ...slowest, ms: Math.round(slowest.ms * 1000) / 1000 },
      decisions_per_s:
        backtest.decisions === 0 ? null : Math.round(backtest.decisions / ((endMs - backtestMs) / 1000)),
      took_ms: Math.round(endMs - startedMs),
    },
  };
}

/** They were checked when the bundle was sent, unless it is older than cases. */
async function casesOf({ archive }: Bundle): Promise<DecisionCases> {
  try {
    return readCases(await unpackStoredArchive(archive));
  } catch (error) {
    if (!(error instanceof BundleError)) throw error;
    throw new BrokerError('invalid_change', 'The decision cases of this policy cannot be read.', {
      errors: [{ pointer: '#/policy_hash', detail: error.message }],
    });
  }
}

function noCases({ files }: DecisionCases): Report['warnings'] {
  if (files.size > 0) return [];
  return [{ pointer: '', detail: 'the bundle has no decision cases: add some in cases/, to be sure of it' }];
}

async function runCandidateCases(
  thread: Thread,
  cases: DecisionCases,
  about: { inputs: InputVersions; policy: Policy; advance: (progress: Progress) => void },
): Promise<Report['cases']> {
  const { inputs, policy, advance } = about;
  const total = [...cases.files.values()].reduce((sum, file) => sum + file.length, 0);
  const failed: Report['cases']['failed'] = [];
  let done = 0;
  const questions = caseQuestions(cases, { inputs, version: policy.broker.input_version });
  for (const part of partsOf(questions, CASES_AT_ONCE)) {
    const jobs = part.flatMap(jobOf);
    const answers = await thread.run('cases', { cases: jobs });
    failed.push(...part.flatMap(faultOf), ...answers.filter((answer) => answer !== null));
    done += part.length;
    advance({ step: 'cases', done, total });
  }
  return {
    passed: total - failed.length,
    failed: failed.slice(0, MAX_FAILED),
    not_shown: Math.max(0, failed.length - MAX_FAILED),
  };
}

function jobOf({ name, expected, asked }: CaseQuestion): CaseJob[] {
  return 'fault' in asked ? [] : [{ name, expected, ...asked }];
}

function faultOf({ name, asked }: CaseQuestion): Report['cases']['failed'] {
  return 'fault' in asked ? [{ name, detail: asked.fault }] : [];
}

function* partsOf<T>(items: Iterable<T>, size: number): Generator<T[]> {
  let part: T[] = [];
  for (const item of items) {
    part.push(item);
    if (part.length < size) continue;
    yield part;
    part = [];
  }
  if (part.length > 0) yield part;
}

/** The next records are read while the thread asks about the ones before, and no others are in memory. */
async function runBacktest(
  thread: Thread,
  { read, span, advance }: { read: Db; span: PlaceSpan; advance: (progress: Progress) => void },
): Promise<Report['backtest']> {
  const { from_place, to_place } = span;
  const tally = createTally();
  const total = to_place - from_place + 1;
  let place = from_place;
  let asked: Promise<void> = Promise.resolve();
  while (place <= to_place) {
    const rows = await listBacktestRows(read, { from: place, to: to_place, limit: ROWS_AT_ONCE });
    const last = rows.at(-1);
    if (last === undefined) break;
    await asked;
    asked = thread.run('backtest', { rows }).then((found) => {
      for (const each of found) tally.add(each);
      advance({ step: 'backtest', done: last.place - from_place + 1, total });
    });
    // It is awaited in the next round; until then, nobody may take it for unhandled.
    asked.catch(() => undefined);
    place = last.place + 1;
  }
  await asked;
  return tally.view();
}

const NOT_ASKED: GuardedResult = { effect: 'deny', reasons: [], obligations: [], limits: {} };
/** The answers to what the candidate does not decide. */
const UNCHANGED: Both<GuardedResult> = { active: NOT_ASKED, candidate: NOT_ASKED };

/** The checks of the broker's state, one after the other. @throws as {@link runFixed} */
export async function runState(
  thread: Thread,
  { policies, stage, own }: Compared,
  about: {
    checks: StateChecks;
    context: Pick<CheckContext, 'read' | 'revocations'>;
    clock: Clock;
    advance: (progress: Progress) => void;
  },
): Promise<StatePart> {
  const { stages } = policies.active.broker;
  const isOwn = ({ question }: TimedQuestion) => decidesIn(stage, question, { stages, own });
  const part: StatePart = {};
  const scope = scopeOfStage(policies, stage, own);
  for (const name of STATE_CHECKS) {
    // The last stage decides every activation.
    if (name === 'next_activation' && !scope.isLast) continue;
    const check: Check<unknown> | undefined = about.checks[name];
    if (check === undefined) continue;
    const result = await check.run({
      ...about.context,
      policies,
      scope,
      now_ms: about.clock(),
      ask: async (questions) => {
        // What another stage decides stays as it is, whatever both policies would say.
        const answers = await thread.run('ask', { questions: questions.filter(isOwn) });
        return questions.map((question) => (isOwn(question) ? (answers.shift() ?? UNCHANGED) : UNCHANGED));
      },
      access: (principals) => thread.run('access', { principals }),
      advance: (done, total) => about.advance({ step: name, done, total }),
    });
    Object.assign(part, { [name]: result });
  }
  return part;
}
