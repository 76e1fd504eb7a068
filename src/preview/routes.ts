import { z } from 'zod';
import type { ControlDeps, RequestKinds } from '../decide/control.ts';
import { routesFor } from '../decide/edge.ts';
import { assertSeen } from '../decide/seen.ts';
import { seenDraft } from '../explain/draft.ts';
import { GOVERNED_READ } from '../http/route.ts';
import { contentSchemaOf, toContent } from '../requests/content.ts';
import { namedRequest } from '../requests/named.ts';
import { findExisting } from '../requests/open-request.ts';
import { previewRequest } from './preview.ts';
import { contextsSchema, previewSchema } from './view.ts';

const { route } = routesFor<{ control: ControlDeps }>({ tag: 'Requests', format: 'problem', since: '1.0' });

/** They write nothing, but their body is too large for a query. */
const outcomes = { ...GOVERNED_READ, foreign_origin: 'refused' } as const;

/** What applications are served before and after a change. @param kinds the kinds of requests that the broker supports */
export function previewRoutes(kinds: RequestKinds) {
  return [
    route({
      name: 'previewRequest',
      operation: 'request.read',
      method: 'POST',
      path: '/v1/requests/{id}/preview',
      summary: 'evaluate contexts before and after a request, by the versions that it is based on',
      caller: 'any',
      outcomes,
      params: z.object({ id: z.uuid() }),
      body: z.strictObject({ contexts: contextsSchema }).meta({ id: 'PreviewOrder' }),
      success: 200,
      answer: previewSchema,
      handle: async ({ control }, { call, params: { id }, body: { contexts } }) => {
        await assertSeen(control, call, await namedRequest(control, id));
        const { read } = control.store;
        const request = await findExisting(read, id);
        return { body: await previewRequest(read, request, { contexts, now_ms: control.clock() }) };
      },
    }),
    route({
      name: 'previewProposal',
      operation: 'request.read',
      method: 'POST',
      path: '/v1/previews',
      summary: 'the same for a proposal that nobody has made',
      caller: 'any',
      outcomes,
      body: z
        .strictObject({ content: contentSchemaOf(kinds), contexts: contextsSchema })
        .meta({ id: 'ProposalPreviewOrder' }),
      success: 200,
      answer: previewSchema,
      errors: ['invalid_change', 'not_found'],
      handle: async ({ control }, { call, body: { content, contexts } }) => {
        const { read } = control.store;
        const now_ms = control.clock();
        const policy = await control.policies.active(read);
        const context = { policy, now_ms, principal: call.principal };
        const { request } = await seenDraft(control, call, toContent(content), async () => context);
        return { body: await previewRequest(read, request, { contexts, now_ms }) };
      },
    }),
  ];
}
