import type { Writing } from '../decide/control.ts';
import { schedulerPrincipal } from '../principal.ts';
import { expire } from '../requests/expire.ts';
import { saveNext } from '../requests/open-request.ts';
import { isOpen, loadRequest, loadVotes } from '../requests/request.ts';
import { settle } from '../requests/settle.ts';
import { postponeRequest } from '../store/requests.ts';
/**
 * Looks at a request because its time has come: expires it, applies it, or lets it wait on. Called by the scheduler;
 * what it finds unchanged it does not record again.
 */
export async function look(writing: Writing, requestId: string): Promise<void> {
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
