import type { ControlDeps, WriteContext } from '../decide/control.ts';
import { write } from '../decide/write.ts';
import type { Logger } from '../logger.ts';
import { schedulerPrincipal } from '../principal.ts';
import { expire } from '../requests/expire.ts';
import { saveNext } from '../requests/open-request.ts';
import { isOpen, loadRequest, loadVotes } from '../requests/request.ts';
import { settle } from '../requests/settle.ts';
import { listDueRequests, postponeRequest } from '../store/requests.ts';
import type { ScheduledJob } from './scheduler.ts';

/** The number of due requests that are processed per query. */
const BATCH = 100;
/** The delay after a failure. */
const RETRY_MS = 60_000;

/**
 * Applies requests that are ready and expires those whose time has passed. The schedule is the `due_ms` of each request,
 * so a restart loses nothing. Each check reads the request again in the transaction, so nothing is applied twice, even
 * with several schedulers.
 */
export function dueRequests({ control, log }: { control: ControlDeps; log: Logger }): ScheduledJob {
  const call = { principal: schedulerPrincipal, credential: null, http_request_id: null };

  /** A request that fails is postponed, so that it cannot block others. */
  async function postpone(id: string): Promise<void> {
    const dueMs = control.clock() + RETRY_MS;
    await control.store.writer
      .write((tx) => postponeRequest(tx, id, dueMs))
      .catch((error: unknown) => log.error({ err: error, request: id }, 'could not postpone a request'));
  }

  return {
    name: 'due requests',
    writes: true,
    run: async () => {
      for (const id of await listDueRequests(control.store.read, control.clock(), BATCH)) {
        try {
          await write(control, call, async (writing) => look(writing, id));
        } catch (error) {
          log.error({ err: error, request: id }, 'the scheduler could not settle a request');
          await postpone(id);
        }
      }
    },
  };
}

/**
 * Checks a due request: expires it, applies it, or lets it wait. An unchanged answer is not recorded again.
 */
export async function look(writing: WriteContext, requestId: string): Promise<void> {
  const { tx, now_ms } = writing;
  const request = await loadRequest(tx, requestId);
  // The request may have changed, or another scheduler may have processed it. The transaction decides.
  if (request === undefined || !isOpen(request) || request.due_ms === null || request.due_ms > now_ms) return;
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
  if (unchanged) await postponeRequest(tx, request.id, after.due_ms);
  else await saveNext(tx, after, now_ms);
}
