import { parentPort } from 'node:worker_threads';
import { caseDifference } from '../../policy/cases.ts';
import type { PolicyResult } from '../../policy/decision.ts';
import type { GuardedResult } from '../../policy/guardrails.ts';
import { uncheckedInputs } from '../../policy/input-versions.ts';
import { createPolicy, type Policy } from '../../policy/policies.ts';
import { backtest } from './backtest.ts';
import type { Both } from './check.ts';
import type { Job, Slowest, ThreadTask, ToMain, ToThread } from './thread.ts';

/*
 * The thread of checks (`thread.ts`), which may be ended at any moment. It has no access to anything but what it is sent.
 */

const port = parentPort;
if (port === null) throw new Error('this file is the thread of checks');

/** A fault of the engine may have corrupted its memory: the policies are then instantiated again. */
const MAX_FAULTS = 20;
let faults = 0;
let slowest: Slowest | null = null;
let opened: { task: ThreadTask; policies: Both<Policy> } | null = null;

/** Instantiates two policies. The active one is often that of the checks before. */
async function open(task: ThreadTask, { again = false } = {}): Promise<void> {
  const inputs = uncheckedInputs;
  const { active, candidate } = task.bundles;
  const known = !again && opened?.task.bundles.active.hash === active.hash ? opened.policies.active : null;
  const policies = {
    active: known ?? (await createPolicy(active, { inputs })),
    candidate: await createPolicy(candidate, { inputs }),
  };
  opened = { task, policies };
}

function present(): { task: ThreadTask; policies: Both<Policy> } {
  if (opened === null) throw new Error('no policies were opened');
  return opened;
}

port.on('message', async ({ id, job }: ToThread) => {
  const answer = await answerTo(job).then(
    (value): ToMain => ({ id, value, slowest }),
    (error: unknown): ToMain => ({ id, fault: error instanceof Error ? error.message : String(error) }),
  );
  port.postMessage(answer);
});

async function answerTo(job: Job): Promise<unknown> {
  switch (job.kind) {
    case 'open':
      faults = 0;
      slowest = null;
      await open(job.task);
      return null;
    case 'ask':
      return inTurn(job.questions, ({ question, now_ms }) => {
        const { active, candidate } = present().policies;
        return {
          active: told(active.decide(question, now_ms)),
          candidate: told(measured(question.operation, () => candidate.decide(question, now_ms))),
        };
      });
    case 'access': {
      const { active, candidate } = present().policies;
      return { active: active.access(job.principals), candidate: candidate.access(job.principals) };
    }
    case 'cases':
      return inTurn(job.cases, ({ name, expected, input_json, operation }) => {
        const result = measured(operation, () => present().policies.candidate.answer(input_json));
        const detail = caseDifference(expected, result);
        return detail === null ? null : { name, detail };
      });
    case 'backtest':
      return inTurn(job.rows, (row) => {
        const { policies, task } = present();
        return backtest(row, { policies, stage: task.stage }, (policy, question, nowMs) => {
          const ask = () => policy.decide(question, nowMs);
          return policy === policies.candidate ? measured(question.operation, ask) : failing(ask());
        });
      });
  }
}

/** One after the other; after a fault of an engine, the next one is asked of a new one. */
async function inTurn<Item, Answer>(
  items: readonly Item[],
  answer: (item: Item) => Answer,
): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (const item of items) {
    const before = faults;
    answers.push(answer(item));
    if (faults === before) continue;
    if (faults > MAX_FAULTS) throw new Error(`its engine failed ${faults} times`);
    await open(present().task, { again: true });
  }
  return answers;
}

/** Asks the candidate, and notes the time of this thread that it took. */
function measured<Result extends PolicyResult>(operation: string, ask: () => Result): Result {
  const before = process.threadCpuUsage();
  const result = failing(ask());
  const { user, system } = process.threadCpuUsage(before);
  const ms = (user + system) / 1000;
  if (slowest === null || ms > slowest.ms) slowest = { ms, operation };
  return result;
}

function failing<Result extends PolicyResult>(result: Result): Result {
  if (result.reasons.some(({ code }) => code === 'policy_error')) faults += 1;
  return result;
}

function told({ effect, reasons, obligations, limits, guardrail }: GuardedResult): GuardedResult {
  return { effect, reasons, obligations, limits, ...(guardrail === undefined ? {} : { guardrail }) };
}
