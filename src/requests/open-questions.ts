import type { ListOpenRequests, OpenRequest } from '../activation/checks/open-requests.ts';
import type { RequestKinds } from '../decide/control.ts';
import { schedulerPrincipal } from '../principal.ts';
import { listOpenRequests } from '../store/requests.ts';
import { questionAbout } from './decide-request.ts';
import { fromRow, loadVotes } from './request.ts';

/** The requests that are read at a time: each may have a plan of some hundred kilobytes. */
const AT_ONCE = 50;

/** Reads open requests with the question whether the scheduler may apply them now, to compare policies. */
export function openQuestions(kinds: RequestKinds): ListOpenRequests {
  return async function* ({ read, policies, revocations, now_ms }, limit) {
    const context = { deps: { kinds }, db: read, now_ms, policy: policies.active, revocations };
    let beforeId: string | null = null;
    for (let left = limit; left > 0; left -= AT_ONCE) {
      const rows = await listOpenRequests(read, { beforeId, limit: Math.min(left, AT_ONCE) });
      const part: OpenRequest[] = [];
      for (const row of rows) {
        const request = fromRow(row);
        const { question } = await questionAbout(context, {
          operation: 'request.apply',
          principal: schedulerPrincipal,
          request,
          votes: await loadVotes(read, request.id),
        });
        const { id, kind, environment, content, plan } = request;
        const { namespacesOf, flagsOf } = kinds.of(kind);
        part.push({
          ...{ id, kind, environment, question },
          namespaces: namespacesOf(plan),
          flags: flagsOf(content).slice(0, 5),
        });
      }
      if (part.length > 0) yield part;
      beforeId = rows.at(-1)?.id ?? null;
      if (rows.length < AT_ONCE) return;
    }
  };
}
