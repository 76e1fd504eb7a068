import { z } from 'zod';
import type { ControlDeps } from '../decide/control.ts';
import { routesFor } from '../decide/edge.ts';
import { authorizeRead } from '../decide/read.ts';
import { GOVERNED_READ } from '../http/route.ts';
import type { Feed } from './feed.ts';

const { route } = routesFor<{ control: ControlDeps; feed: Feed }>({
  tag: 'Requests',
  format: 'problem',
  since: '1.0',
});

/** What happens, as it happens. */
export const eventRoutes = [
  route({
    name: 'followEvents',
    operation: 'request.read',
    method: 'GET',
    path: '/v1/events',
    summary:
      'a stream of what happens to requests, freezes, revocations and policies that you may read, until your sign-in or token ends; send `Last-Event-ID` to go on',
    caller: 'any',
    outcomes: GOVERNED_READ,
    streams: true,
    success: 200,
    answerType: 'text/event-stream',
    answer: z.string(),
    handle: async ({ control, feed }, { call, request, stream }) => {
      await authorizeRead(control, call, { operation: 'request.read' });
      await stream((res) => feed.follow(res, call, request.last_event_id));
      return { body: '' };
    },
  }),
];
