import { randomUUID } from 'node:crypto';
import { createTally, type EvaluationCount, type EvaluationTally } from '../data/evaluation-tally.ts';
import { RelayFault } from './fault.ts';
import type { FaultBook } from './fault-book.ts';
import { about, createPause, type Pace, type Random } from './pace.ts';
import { answerFault, reasonOf } from './source.ts';
import type { RelayTokens } from './tokens.ts';

/** What a relay serves of an environment. */
export interface ServedVersion {
  version: number;
  digest: string;
  /** Since when. */
  served_ms: number;
}

/** A report to the broker: what is served, and what was read since the last one. */
export interface Report extends ServedVersion {
  /** The same for each attempt, so that it counts once. */
  id: string;
  /** Whose report it is. */
  relay: string;
  reads: EvaluationCount[];
}

/** The reports of one environment. */
export interface Reports {
  /** What was evaluated for whom, until it is reported. */
  tally: EvaluationTally;
  /** Another version is served: the broker gets to know it at once. */
  changed(): void;
  /** When the broker accepted the last one. */
  acceptedMs(): number | null;
  /** Ends with the signal, after a last attempt. */
  done: Promise<void>;
}

/** Where reports go. */
export interface ReportTarget {
  address: string;
  tokens: RelayTokens;
  fetch: typeof globalThis.fetch;
}

/** The most rows of one report: with the longest names, they fit into a body that the broker takes. */
const MAX_ROWS = 150;
/** How many reports are sent at the end, and how long each may take. */
const MAX_LAST = 30;
/** How long that may take in all: whoever stops a relay ends it by force at some time. */
const LAST_IN_ALL_MS = 15_000;
const LAST_MS = 2000;
/** What the broker does not take, however often it is sent. */
const FINAL: readonly number[] = [400, 409, 413, 415, 422];

/**
 * Reports to the broker. Rows are taken out of the tally for one report, which is sent until it is accepted; what is read
 * meanwhile waits in the tally, which is bounded.
 */
export function createReports(
  {
    relay,
    target,
    served,
    pace,
    random,
    clock,
    faults,
  }: {
    relay: string;
    target: ReportTarget;
    served: () => ServedVersion | null;
    pace: Pace;
    random: Random;
    clock: () => number;
    faults: FaultBook;
  },
  signal: AbortSignal,
): Reports {
  const tally = createTally({ flags: [], namespaces: [] });
  const pause = createPause();
  /** What was sent, and is not accepted yet. It stays as it is: the broker may have taken it, and only its answer was lost. */
  let unaccepted: Report | null = null;
  let acceptedMs: number | null = null;

  async function send(report: Report, timeoutMs: number): Promise<void> {
    const { address, tokens, fetch } = target;
    const token = await tokens.get();
    const response = await fetch(address, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(report),
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
    }).catch((error: unknown) => {
      throw new RelayFault('unreachable', `${address} did not respond: ${reasonOf(error)}`, { cause: error });
    });
    await response.body?.cancel();
    if (response.ok) return;
    if (response.status === 401) tokens.drop();
    if (FINAL.includes(response.status))
      throw new RelayFault('report_refused', `${address} answers with status ${response.status}`);
    throw answerFault(response.status, address, null);
  }

  /** Sends one report. @returns whether another one is due at once */
  async function report(timeoutMs: number): Promise<boolean> {
    const now = served();
    if (now === null) return false;
    // Without rows, it says that this relay is here, and what it serves.
    unaccepted ??= { id: randomUUID(), relay, ...now, reads: tally.take(MAX_ROWS) };
    const sent = unaccepted;
    try {
      await send(sent, timeoutMs);
      acceptedMs = clock();
      faults.clear('reports');
    } catch (error) {
      faults.note('reports', error);
      // What is not accepted in this form never is.
      if (!(error instanceof RelayFault) || error.code !== 'report_refused') return false;
    }
    unaccepted = null;
    return sent.digest !== served()?.digest || sent.reads.length === MAX_ROWS;
  }

  async function keepReporting(): Promise<void> {
    while (!signal.aborted) {
      const isDue = await report(pace.answerMs);
      if (!isDue) await pause.sleep(about(pace.reportMs, random), signal);
    }
    const endsMs = performance.now() + LAST_IN_ALL_MS;
    for (let attempts = 0; attempts < MAX_LAST; attempts += 1) {
      await report(LAST_MS);
      if (unaccepted !== null || tally.waiting() === 0 || performance.now() > endsMs) break;
    }
  }

  return {
    tally,
    changed: pause.wake,
    acceptedMs: () => acceptedMs,
    done: keepReporting(),
  };
}
