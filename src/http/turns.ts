import type { IncomingMessage, ServerResponse } from 'node:http';
import { BrokerError } from '../errors.ts';
import type { Lane } from '../operations.ts';

/** The request of a call, and its response. */
interface Waiter {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
}

/** Lets a bounded number of calls be in progress at once; the others wait for their turn. */
export interface Turns {
  /**
   * Serves the calls of a lane in the order in which their bodies were read. A call whose client leaves while it waits is
   * dropped, so it has no effect. Reading an answer takes no turn.
   *
   * @param serve the work on the call: its authentication, its decision, its write
   * @returns what the work returns; null if the call was dropped
   * @throws BrokerError `overloaded` with `Retry-After` if too many calls wait
   */
  inTurn<T>(lane: Lane, call: Waiter, serve: () => Promise<T>): Promise<T | null>;
  /** The calls in progress and waiting, for metrics. */
  calls(): { lane: Lane; state: 'in_progress' | 'waiting'; count: number }[];
}

/** How many calls a lane serves at once, and how many may wait. */
interface Limits {
  /** Twice a batch of the writer: the next one is prepared while one commits. */
  in_progress: number;
  waiting: number;
  /** The bytes of all waiting bodies together. */
  waiting_bytes: number;
}

const LIMITS: Record<Lane, Limits> = {
  ordinary: { in_progress: 100, waiting: 5000, waiting_bytes: 64 * 1024 * 1024 },
  emergency: { in_progress: 50, waiting: 1000, waiting_bytes: 16 * 1024 * 1024 },
};

/** Counted for a body of unknown length. */
const UNKNOWN_LENGTH = 64 * 1024;

const RETRY_AFTER_S = 5;

/**
 * Turns by lane. In one process everything shares one thread, so whatever is begun delays everything behind it: a call
 * of the emergency lane waits for the calls in progress at most, never for those that wait.
 */
export function createTurns(limits: Record<Lane, Limits> = LIMITS): Turns {
  const lanes = {
    ordinary: createLane(limits.ordinary),
    emergency: createLane(limits.emergency),
  };
  return {
    inTurn: async (lane, call, serve) => {
      const { arrive, leave } = lanes[lane];
      if (!(await arrive(call))) return null;
      try {
        return await serve();
      } finally {
        leave();
      }
    },
    calls: () =>
      (['ordinary', 'emergency'] as const).flatMap((lane) => [
        { lane, state: 'in_progress', count: lanes[lane].inProgress() },
        { lane, state: 'waiting', count: lanes[lane].waiting() },
      ]),
  };
}

function createLane(limits: Limits) {
  /** In the order of arrival. */
  const waiting = new Set<{ bytes: number; begin: () => void }>();
  let waitingBytes = 0;
  let inProgress = 0;

  function wait(res: ServerResponse, bytes: number): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (isTurn: boolean) => {
        waiting.delete(turn);
        waitingBytes -= bytes;
        res.off('close', drop);
        resolve(isTurn);
      };
      const drop = () => end(false);
      const turn = { bytes, begin: () => end(true) };
      waiting.add(turn);
      waitingBytes += bytes;
      res.once('close', drop);
    });
  }

  return {
    inProgress: () => inProgress,
    waiting: () => waiting.size,
    /** @returns whether the call has its turn: false if its client has left @throws BrokerError `overloaded` */
    arrive: async ({ req, res }: Waiter): Promise<boolean> => {
      if (inProgress < limits.in_progress) {
        inProgress += 1;
        return true;
      }
      const bytes = bytesOf(req);
      if (waiting.size >= limits.waiting || waitingBytes + bytes > limits.waiting_bytes) throw overloaded();
      return wait(res, bytes);
    },
    /** The turn passes to the call that has waited longest. */
    leave: (): void => {
      const [next] = waiting;
      if (next === undefined) inProgress -= 1;
      else next.begin();
    },
  };
}

function bytesOf({ headers }: IncomingMessage): number {
  const length = headers['content-length'];
  if (length !== undefined) return Number(length);
  return headers['transfer-encoding'] === undefined ? 0 : UNKNOWN_LENGTH;
}

function overloaded(): BrokerError {
  return new BrokerError(
    'overloaded',
    `Too many calls are waiting, so this one was not begun. Try again in ${RETRY_AFTER_S} seconds.`,
    { headers: { 'Retry-After': String(RETRY_AFTER_S) } },
  );
}
