import { Worker } from 'node:worker_threads';
import { BrokerError } from '../../errors.ts';
import type { AccessAnswer } from '../../policy/access.ts';
import type { Bundle } from '../../policy/bundle.ts';
import type { CaseQuestion, FailedCase } from '../../policy/cases.ts';
import type { GuardedResult } from '../../policy/guardrails.ts';
import type { Principal } from '../../principal.ts';
import type { Backtested, BacktestRow } from './backtest.ts';
import type { Both, TimedQuestion } from './check.ts';

/*
 * Evaluations run on the thread that answers everybody, and cannot be interrupted there. A candidate has only been tried for
 * each operation once when it is checked, so it is asked in a thread of its own, which is ended if it takes too long.
 */

/** For one job of some hundred evaluations; sound policies take a fraction of a second, on a busy machine too. */
const DEADLINE_MS = 30_000;

/** For the data of both policies as JavaScript values, and one job. The modules' memory is limited by `policy/module.ts`. */
const MAX_HEAP_MB = 512;

/** A thread without work is kept for the next checks, because it takes longest to start. In milliseconds. */
const IDLE_MS = 30_000;

/** What the thread compares. */
export interface ThreadTask {
  bundles: Both<Bundle>;
  /** The stage whose decisions are replayed; null: there are none. */
  stage: string | null;
}

/** One thing to do, and what it returns. */
interface Jobs {
  open: { job: { task: ThreadTask }; answer: null };
  ask: { job: { questions: readonly TimedQuestion[] }; answer: Both<GuardedResult>[] };
  access: { job: { principals: readonly Principal[] }; answer: Both<AccessAnswer | null> };
  cases: { job: { cases: readonly CaseJob[] }; answer: (FailedCase | null)[] };
  backtest: { job: { rows: readonly BacktestRow[] }; answer: Backtested[] };
}
type Kind = keyof Jobs;
export type Job = { [K in Kind]: { kind: K } & Jobs[K]['job'] }[Kind];

/** A case with its input. */
export interface CaseJob extends Pick<CaseQuestion, 'name' | 'expected'> {
  input_json: string;
  operation: string;
}

/** The evaluation of the candidate that took the most time of the processor. */
export interface Slowest {
  ms: number;
  operation: string;
}

export interface ToThread {
  id: number;
  job: Job;
}
export type ToMain = { id: number } & ({ value: unknown; slowest: Slowest | null } | { fault: string });

/** A thread with two policies. */
export interface Thread {
  /**
   * Does one job; further ones wait.
   *
   * @throws BrokerError `invalid_change` if it takes too much time or memory, or fails; the thread is ended then
   */
  run<K extends Kind>(kind: K, job: Jobs[K]['job']): Promise<Jobs[K]['answer']>;
  /** The slowest evaluation so far; null before the first. */
  slowest(): Slowest | null;
  close(): Promise<void>;
}

/**
 * Opens a thread with two policies.
 *
 * @param options.deadlineMs the time after which a job ends everything, in milliseconds; default 30 seconds
 */
export function openThread(
  { bundles, stage }: ThreadTask,
  { deadlineMs = DEADLINE_MS }: { deadlineMs?: number } = {},
): Thread {
  const worker = takeWorker();
  let ended: BrokerError | null = null;
  let slowest: Slowest | null = null;
  let waiting: { resolve: (value: never) => void; reject: (error: unknown) => void } | null = null;
  let last: Promise<unknown> = Promise.resolve();
  let count = 0;

  function end(fault: string): void {
    ended ??= new BrokerError('invalid_change', 'The checks of this policy were ended.', {
      errors: [{ pointer: '#', detail: fault }],
    });
    waiting?.reject(ended);
    waiting = null;
    worker.terminate().catch(() => undefined);
  }

  worker.on('message', (message: ToMain) => {
    if ('fault' in message) {
      end(`the policy failed: ${message.fault}`);
      return;
    }
    slowest = message.slowest;
    waiting?.resolve(message.value as never);
    waiting = null;
  });
  worker.on('error', (error: Error & { code?: string }) => {
    const isMemory = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
    end(isMemory ? `it needs more than ${MAX_HEAP_MB} MB of memory` : `the policy failed: ${error.message}`);
  });
  worker.on('exit', () => end('their thread ended'));

  async function send(job: Job): Promise<unknown> {
    if (ended !== null) throw ended;
    const timer = setTimeout(
      () => end(`the policy did not answer within ${deadlineMs / 1000} seconds`),
      deadlineMs,
    );
    try {
      return await new Promise((resolve, reject) => {
        waiting = { resolve, reject };
        count += 1;
        worker.postMessage({ id: count, job } satisfies ToThread);
      });
    } finally {
      clearTimeout(timer);
    }
  }

  function run<K extends Kind>(kind: K, job: Jobs[K]['job']): Promise<Jobs[K]['answer']> {
    const answer = last.then(() => send({ kind, ...job } as Job));
    last = answer.catch(() => undefined);
    return answer as Promise<never>;
  }

  const task = { bundles: { active: bare(bundles.active), candidate: bare(bundles.candidate) }, stage };
  // What is wrong with them is told to those who ask.
  run('open', { task }).catch(() => undefined);
  return {
    run,
    slowest: () => slowest,
    close: async () => {
      if (ended === null && waiting === null) {
        ended = new BrokerError('shutting_down', 'The checks were ended.');
        letGo(worker);
        parkWorker(worker);
        return;
      }
      end('they were given up');
      await worker.terminate();
    },
  };
}

/** The thread that waits for work. */
let idle: { worker: Worker; timer: NodeJS.Timeout } | null = null;

function takeWorker(): Worker {
  const known = idle;
  idle = null;
  if (known === null) {
    return new Worker(workerFile(), {
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
      // Nothing of the broker's environment, and nothing that a module prints.
      env: {},
      execArgv: [],
      stdout: true,
      stderr: true,
    });
  }
  clearTimeout(known.timer);
  letGo(known.worker);
  known.worker.ref();
  return known.worker;
}

/** Without our listeners only: those of the library carry its messages. */
function letGo(worker: Worker): void {
  for (const event of ['message', 'error', 'exit']) worker.removeAllListeners(event);
}

/** Keeps one thread for a while. It does not keep the process. */
function parkWorker(worker: Worker): void {
  if (idle !== null) {
    worker.terminate().catch(() => undefined);
    return;
  }
  const forget = () => {
    if (idle?.worker === worker) idle = null;
    worker.terminate().catch(() => undefined);
  };
  worker.unref();
  worker.once('exit', forget);
  worker.once('error', forget);
  idle = { worker, timer: setTimeout(forget, IDLE_MS).unref() };
}

/** Without the archive, which nobody needs there. */
function bare(bundle: Bundle): Bundle {
  return { ...bundle, archive: Buffer.alloc(0) };
}

/** The thread's file, which is TypeScript from a clone and JavaScript in the package. */
function workerFile(): URL {
  return new URL(`./thread-worker.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url);
}
