import type { ControlDeps, WriteContext } from '../decide/control.ts';
import { write } from '../decide/write.ts';
import { BrokerError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { schedulerPrincipal } from '../principal.ts';
import { expire } from '../requests/expire.ts';
import { saveNext } from '../requests/open-request.ts';
import { type ChangeRequest, heldByColumn, loadRequest, loadVotes } from '../requests/request.ts';
import { settle } from '../requests/settle.ts';
import { isOpen } from '../requests/states.ts';
import { listDueRequests, postponeRequest } from '../store/requests.ts';
import { RunAgain } from '../store/run-again.ts';
import { advanceWake, endWake, findWake, listWoken } from '../store/wakes.ts';
import type { ScheduledJob } from './scheduler.ts';

/** The number of ready requests that are processed per query: several transactions' worth. */
const BATCH = 100;
/** The number of other requests between two looks at what is ready: one transaction's worth. */
const SMALL_BATCH = 25;
/** Limits a run, so that other jobs have their turn. The next run follows at once. */
const MAX_PER_RUN = 500;
/** The delay after a failure. */
const RETRY_MS = 60_000;

/**
 * Applies requests that are ready, expires those whose time has passed, and decides again what was held back by something
 * that is over. The schedule is the `due_ms` of each request and the stored wakes, so a restart loses nothing. Each check
 * reads the request again in the transaction, so nothing is applied twice, even with several schedulers.
 *
 * What is ready goes first: it is late by one small batch at most, however much else there is to do. Requests that are due
 * together share transactions, behind the writes that somebody waits for.
 */
export function dueRequests({ control, log }: { control: ControlDeps; log: Logger }): ScheduledJob {
  const call = { principal: schedulerPrincipal, credential: null, http_request_id: null };
  const { writer, read } = control.store;
  let hasMore = false;
  /** The requests that wait for a preparation, such as a check of a policy. They hold back no other. */
  const preparing = new Set<{ id: string; settled: Promise<void> }>();

  /** A request that fails is postponed, so that it cannot block others. @returns whether that worked */
  async function postpone(id: string): Promise<boolean> {
    const due_ms = control.clock() + RETRY_MS;
    try {
      await writer.write((tx) => postponeRequest(tx, id, { due_ms }), 'scheduled');
      return true;
    } catch (error) {
      log.error({ err: error, request: id }, 'could not postpone a request');
      return false;
    }
  }

  /**
   * Resolves once the request is settled, or has to be prepared, which may take long: then it is settled later.
   *
   * @returns whether it is out of the way; otherwise another look at what is due would find it again
   */
  function attempt(id: string, isWanted: IsWanted): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const work = async (writing: WriteContext): Promise<void> => {
      try {
        await look(writing, id, isWanted);
      } catch (error) {
        if (error instanceof RunAgain) {
          preparing.add(entry);
          resolve(true);
        }
        throw error;
      }
    };
    const settled = write(control, call, work, 'scheduled')
      .then(() => true)
      .catch((error: unknown) => {
        if (error instanceof BrokerError && error.code === 'shutting_down') return false;
        log.error({ err: error, request: id }, 'the scheduler could not settle a request');
        return postpone(id);
      })
      .then((isDone) => {
        preparing.delete(entry);
        resolve(isDone);
      });
    const entry = { id, settled };
    return promise;
  }

  /** Looks at requests together, so that they share transactions. */
  async function attemptAll(ids: readonly string[], isWanted: IsWanted): Promise<Looked> {
    const done = await Promise.all(ids.map((id) => attempt(id, isWanted)));
    return { count: ids.length, isStuck: done.includes(false) };
  }

  async function lookAtDue(which: 'ready' | 'other', limit: number): Promise<Looked> {
    const due = await listDueRequests(read, control.clock(), { which, limit: limit + preparing.size });
    const known = new Set([...preparing].map(({ id }) => id));
    const ids = due.filter((id) => !known.has(id)).slice(0, limit);
    return attemptAll(ids, isDue);
  }

  async function lookAtWoken(limit: number): Promise<Looked> {
    const wake = await findWake(read);
    if (wake === undefined) return { count: 0, isStuck: false };
    const ids = await listWoken(read, wake, limit);
    const last = ids.at(-1);
    const looked = await attemptAll(ids, isOpen);
    // Else those that could not even be postponed would be passed over.
    if (looked.isStuck) return looked;
    await writer.write(
      (tx) => (last === undefined ? endWake(tx, wake.id) : advanceWake(tx, wake.id, last)),
      'scheduled',
    );
    return { count: Math.max(ids.length, 1), isStuck: false };
  }

  return {
    name: 'due requests',
    writes: true,
    alone: true,
    run: async () => {
      hasMore = false;
      for (let count = 0; count < MAX_PER_RUN; ) {
        const looked = [
          await lookAtDue('ready', BATCH),
          await lookAtDue('other', SMALL_BATCH),
          await lookAtWoken(SMALL_BATCH),
        ];
        const found = looked.reduce((sum, look) => sum + look.count, 0);
        // What is stuck waits for the next look at the clock.
        if (found === 0 || looked.some(({ isStuck }) => isStuck)) return;
        count += found;
      }
      hasMore = true;
    },
    hasMore: () => hasMore,
    rest: async () => {
      await Promise.all([...preparing].map(({ settled }) => settled));
    },
  };
}

interface Looked {
  count: number;
  /** Whether one of them could neither be settled nor postponed. */
  isStuck: boolean;
}

/** Whether a request still has to be looked at. */
type IsWanted = (request: ChangeRequest, nowMs: number) => boolean;

/** The request may have changed, or another scheduler may have processed it: the transaction decides. */
function isDue({ due_ms }: ChangeRequest, nowMs: number): boolean {
  return due_ms !== null && due_ms <= nowMs;
}

/** Checks a request: expires it, applies it, or lets it wait. An unchanged answer is not recorded again. */
async function look(writing: WriteContext, requestId: string, isWanted: IsWanted): Promise<void> {
  const { tx, now_ms } = writing;
  const request = await loadRequest(tx, requestId);
  if (request === undefined || !isOpen(request) || !isWanted(request, now_ms)) return;
  if (request.expires_ms <= now_ms) {
    await expire(writing, request);
    return;
  }
  const { request: after, unchanged } = await settle(writing, {
    request,
    votes: await loadVotes(tx, request.id),
    planned: null,
    asking: { operation: 'request.apply', principal: schedulerPrincipal, explicit: false, quiet: true },
  });
  if (unchanged)
    await postponeRequest(tx, request.id, { due_ms: after.due_ms, held_by: heldByColumn(after) });
  else await saveNext(tx, after, now_ms);
}
