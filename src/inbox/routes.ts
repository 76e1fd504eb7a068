import { z } from 'zod';
import type { ControlDeps } from '../decide/control.ts';
import { routesFor } from '../decide/edge.ts';
import { authorizeRead } from '../decide/read.ts';
import { assertSeen } from '../decide/seen.ts';
import { GOVERNED_READ } from '../http/route.ts';
import { namedRequest } from '../requests/named.ts';
import { approvable, countInbox, inInbox, owned } from './inbox.ts';
import { INBOX_PARTS } from './parts.ts';
import { inboxCountSchema, inboxItemSchema } from './view.ts';

const { route, list } = routesFor<{ control: ControlDeps }>({
  tag: 'Requests',
  format: 'problem',
  since: '1.0',
});

/** What waits for the caller. */
export const inboxRoutes = [
  list({
    name: 'listInbox',
    operation: 'request.read',
    method: 'GET',
    path: '/v1/inbox',
    summary: 'list what waits for you, oldest first: what you could approve, or your own open requests',
    caller: 'any',
    outcomes: GOVERNED_READ,
    query: z.strictObject({
      part: z.enum(INBOX_PARTS).default('approve').meta({
        description: '`approve`: requests that miss an approval which you could give. `own`: yours.',
      }),
      request: z.uuid().optional().meta({
        description: 'Only this request: the list is empty if it does not wait for you.',
      }),
    }),
    success: 200,
    answer: inboxItemSchema,
    errors: ['not_found'],
    handle: async ({ control }, { call, query: { part, request }, page: { limit, place } }) => {
      await authorizeRead(control, call, { operation: 'request.read' });
      if (request !== undefined) {
        const named = await namedRequest(control, request);
        const unknown = { ...named.unknown, pointer: '#/request' };
        await assertSeen(control, call, { ...named, unknown });
        return { items: await inInbox(control, call, { part, request }), next: null };
      }
      const page = { after: place === null ? null : String(place), limit };
      return part === 'own' ? owned(control, call, page) : approvable(control, call, page);
    },
  }),
  route({
    name: 'countInbox',
    operation: 'request.read',
    method: 'GET',
    path: '/v1/inbox/count',
    summary: 'count what waits for you, up to a hundred',
    caller: 'any',
    outcomes: GOVERNED_READ,
    success: 200,
    answer: inboxCountSchema,
    handle: async ({ control }, { call }) => {
      await authorizeRead(control, call, { operation: 'request.read' });
      return { body: await countInbox(control, call) };
    },
  }),
];
