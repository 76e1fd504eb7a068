import { z } from 'zod';
import { type ControlDeps, EVERY_NAMESPACE } from '../decide/control.ts';
import { routesFor } from '../decide/edge.ts';
import { authorizeRead, readablePlaces } from '../decide/read.ts';
import { Refused } from '../decide/refused.ts';
import { GOVERNED_READ, GOVERNED_WRITE, pageShape } from '../http/route.ts';
import { applyInSession, breakglassChangeSchema } from '../requests/break-glass.ts';
import { namedByChanges } from '../requests/named-flags.ts';
import { requestViewSchema, toView } from '../requests/view.ts';
import { listActiveFreezes, listFreezes, listSessions } from '../store/emergency.ts';
import {
  breakglassViewSchema,
  close,
  open,
  openSessionSchema,
  ownSessions,
  toBreakglassView,
} from './break-glass.ts';
import { engage, freezeSchema, freezeViewSchema, toFreezeView } from './freeze.ts';
import { placeFreezes } from './state.ts';

const sessionId = z.object({ id: z.string().max(100) });

const { route } = routesFor<{ control: ControlDeps }>({ tag: 'Emergency', format: 'problem', since: '1.0' });

/** Freezes and break-glass sessions (design section 8). A freeze is lifted by a change request of kind `freeze.lift`. */
export const emergencyRoutes = [
  route({
    name: 'engageFreeze',
    operation: 'freeze.engage',
    method: 'POST',
    path: '/v1/freezes',
    summary: 'engage a freeze; it is lifted by a request of kind `freeze.lift`',
    caller: 'any',
    outcomes: GOVERNED_WRITE,
    body: freezeSchema,
    success: 201,
    answer: freezeViewSchema,
    errors: ['not_found'],
    idempotent: true,
    handle: async (_deps, { body, write }) => ({ body: await write((writing) => engage(writing, body)) }),
  }),
  route({
    name: 'listFreezes',
    operation: 'freeze.read',
    method: 'GET',
    path: '/v1/freezes',
    summary: 'list freezes, newest first',
    caller: 'any',
    outcomes: GOVERNED_READ,
    query: z.strictObject({
      limit: pageShape.limit,
      state: z
        .enum(['active', 'all'])
        .default('active')
        .meta({ description: '`active` omits lifted freezes.' }),
    }),
    success: 200,
    answer: z.object({ items: z.array(freezeViewSchema) }),
    handle: async ({ control }, { call, query: { limit, state } }) => {
      await authorizeRead(control, call, { operation: 'freeze.read' });
      const { read } = control.store;
      const isReadable = await readablePlaces(control, call, 'freeze.read');
      const rows = state === 'active' ? await listActiveFreezes(read) : await listFreezes(read);
      const placed = await placeFreezes(read, rows);
      const seen = placed.filter(({ place }) => isReadable(place)).map(({ freeze }) => freeze);
      const items = (state === 'active' ? seen : seen.slice(0, limit)).map(toFreezeView);
      return { body: { items } };
    },
  }),
  route({
    name: 'openBreakGlass',
    operation: 'breakglass.open',
    method: 'POST',
    path: '/v1/break-glass',
    summary: 'open a break-glass session',
    caller: 'any',
    outcomes: GOVERNED_WRITE,
    body: openSessionSchema,
    success: 201,
    answer: breakglassViewSchema,
    errors: ['state_conflict'],
    idempotent: true,
    handle: async (_deps, { body, write }) => ({ body: await write((writing) => open(writing, body)) }),
  }),
  route({
    name: 'listBreakGlass',
    operation: 'breakglass.read',
    method: 'GET',
    path: '/v1/break-glass',
    summary: 'list break-glass sessions, newest first; your own, or all if you may read every namespace',
    caller: 'any',
    outcomes: GOVERNED_READ,
    query: z.strictObject({ limit: pageShape.limit }),
    success: 200,
    answer: z.object({ items: z.array(breakglassViewSchema) }),
    handle: async ({ control }, { call, query: { limit } }) => {
      await authorizeRead(control, call, { operation: 'breakglass.read' });
      const isReadable = await readablePlaces(control, call, 'breakglass.read');
      const ofAll = isReadable({ environment: null, namespace: EVERY_NAMESPACE });
      const isOwn = await ownSessions(control, call);
      const rows = await listSessions(control.store.read);
      const seen = ofAll ? rows : rows.filter(isOwn);
      return { body: { items: seen.slice(0, limit).map(toBreakglassView) } };
    },
  }),
  route({
    name: 'applyInBreakGlass',
    operation: 'breakglass.apply',
    method: 'POST',
    path: '/v1/break-glass/{id}/apply',
    summary: 'apply changes that make things safer',
    caller: 'any',
    outcomes: GOVERNED_WRITE,
    params: sessionId,
    body: breakglassChangeSchema,
    success: 201,
    answer: requestViewSchema,
    errors: ['state_conflict', 'invalid_change'],
    idempotent: true,
    namedBy: ({ control }, { body }) => namedByChanges(control.store.read, body, control.policies.latest()),
    handle: async ({ control: { kinds } }, { params, body, write }) => ({
      body: await write(async (writing) => {
        const settled = await applyInSession(writing, params.id, body);
        if (settled instanceof Refused) return settled;
        return toView(settled.request, { ...writing, votes: [], kinds });
      }),
    }),
  }),
  route({
    name: 'closeBreakGlass',
    operation: 'breakglass.close',
    method: 'POST',
    path: '/v1/break-glass/{id}/close',
    summary: 'close the session',
    caller: 'any',
    outcomes: GOVERNED_WRITE,
    params: sessionId,
    success: 200,
    answer: breakglassViewSchema,
    handle: async (_deps, { params, write }) => ({
      body: await write((writing) => close(writing, params.id)),
    }),
  }),
];
