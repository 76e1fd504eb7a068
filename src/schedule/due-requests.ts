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

/** How many requests are looked at before it is asked again what is due. */
const BATCH = 100;
/** When what failed is tried again. */
const RETRY_MS = 60_000;

/**
 * Applies what is ready and expires what is over. What is due is the `due_ms` of each request, so a restart loses nothing;
 * and each look begins by reading the request again inside the transaction, so nothing is applied twice, however many
 * schedulers run.
 */
export function dueRequests({ control, log }: { control: ControlDeps; log: Logger }): ScheduledJob {
  const call = { principal: schedulerPrincipal, credential: null, http_request_id: null };

  /** What fails is looked at again later, so that it cannot keep others from their turn. */
  async function postpone(id: string): Promise<void> {
    const dueMs = control.clock() + RETRY_MS;
    await control.store.writer
      .write((tx) => postponeRequest(tx, id, dueMs))
      .catch((error: unknown) => log.error({ err: error, request: id }, 'a request could not be postponed'));
  }

  return {
    name: 'due requests',
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
 * Looks at a request because its time has come: expires it, applies it, or lets it wait on. What it finds unchanged it does not record again.
 */
export async function look(writing: WriteContext, requestId: string): Promise<void> {
  const { tx, now_ms } = writing;
  const request = await loadRequest(tx, requestId);
  // Somebody may have been faster; two schedulers may look at once. The transaction decides, so nothing is applied twice.
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
