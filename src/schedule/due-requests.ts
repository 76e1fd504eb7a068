import type { ControlDeps, WriteContext } from '../decide/control.ts';
import { write } from '../decide/write.ts';
import { BrokerError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { schedulerPrincipal } from '../principal.ts';
import { expire } from '../requests/expire.ts';
import { saveNext } from '../requests/open-request.ts';
import { type ChangeRequest, heldByColumn, isOpen, loadRequest, loadVotes } from '../requests/request.ts';
import { settle } from '../requests/settle.ts';
import { listDueRequests, postponeRequest } from '../store/requests.ts';
import { RunAgain } from '../store/run-again.ts';
import { advanceWake, endWake, findWake, listWoken } from '../store/wakes.ts';
import type { ScheduledJob } from './scheduler.ts';

/** The number of ready requests that are processed per query. */
const BATCH = 100;
/** The number of other requests between two looks at what is ready: one transaction's worth. */
const SMALL_BATCH = 25;
/** Limits a run, so that other jobs have their turn. The next run goes on. */
const MAX_PER_RUN = 500;
/** The delay after a failure. */
const RETRY_MS = 60_000;

/**
 * Applies requests that are ready, expires those whose time has passed, and decides again what was held back by something
 * that is over. The schedule is the `due_ms` of each request and the stored wakes, so a restart loses nothing. Each check
 * reads the request again in the transaction, so nothing is applied twice, even with several schedulers.
 *
 * What is ready goes first: it is late by one small batch at most, however much else there is to do.
 */
export function dueRequests({ control, log }: { control: ControlDeps; log: Logger }): ScheduledJob {
  const call = { principal: schedulerPrincipal, credential: null, http_request_id: null };
  const { writer, read } = control.store;
  /** The requests that wait for a preparation, such as a check of a policy. They hold back no other. */
  const preparing = new Set<{ id: string; settled: Promise<void> }>();

  /** A request that fails is postponed, so that it cannot block others. */
  async function postpone(id: string): Promise<void> {
    const due_ms = control.clock() + RETRY_MS;
    await writer
      .write((tx) => postponeRequest(tx, id, { due_ms }))
      .catch((error: unknown) => log.error({ err: error, request: id }, 'could not postpone a request'));
  }

  /** @returns once the request is settled, or has to be prepared, which may take long: then it is settled later */
  function attempt(id: string, isWanted: IsWanted): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const work = async (writing: WriteContext): Promise<void> => {
      try {
        await look(writing, id, isWanted);
      } catch (error) {
        if (error instanceof RunAgain) {
          preparing.add(entry);
          resolve();
        }
        throw error;
      }
    };
    const settled = write(control, call, work)
      .catch(async (error: unknown) => {
        if (error instanceof BrokerError && error.code === 'shutting_down') return;
        log.error({ err: error, request: id }, 'the scheduler could not settle a request');
        await postpone(id);
      })
      .finally(() => {
        preparing.delete(entry);
        resolve();
      });
    const entry = { id, settled };
    return promise;
  }

  async function lookAtDue(which: 'ready' | 'other', limit: number): Promise<number> {
    const due = await listDueRequests(read, control.clock(), { which, limit: limit + preparing.size });
    const known = new Set([...preparing].map(({ id }) => id));
    const ids = due.filter((id) => !known.has(id)).slice(0, limit);
    for (const id of ids) await attempt(id, isDue);
    return ids.length;
  }

  async function lookAtWoken(limit: number): Promise<number> {
    const wake = await findWake(read);
    if (wake === undefined) return 0;
    const ids = await listWoken(read, wake, limit);
    const last = ids.at(-1);
    // Together, so that they share a transaction.
    await Promise.all(ids.map((id) => attempt(id, isOpen)));
    await writer.write((tx) => (last === undefined ? endWake(tx, wake.id) : advanceWake(tx, wake.id, last)));
    return Math.max(ids.length, 1);
  }

  return {
    name: 'due requests',
    writes: true,
    run: async () => {
      for (let looked = 0; looked < MAX_PER_RUN; ) {
        const ready = await lookAtDue('ready', BATCH);
        const others = (await lookAtDue('other', SMALL_BATCH)) + (await lookAtWoken(SMALL_BATCH));
        if (ready + others === 0) return;
        looked += ready + others;
      }
    },
    rest: async () => {
      await Promise.all([...preparing].map(({ settled }) => settled));
    },
  };
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
