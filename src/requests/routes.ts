import { z } from 'zod';
import { type ControlDeps, environmentsOf, type RequestKinds, type WriteContext } from '../decide/control.ts';
import { type Given, routesFor } from '../decide/edge.ts';
import { askingOf, assertEnvironment } from '../decide/names.ts';
import { authorizeRead, readablePlaces } from '../decide/read.ts';
import { Refused } from '../decide/refused.ts';
import { assertSeen } from '../decide/seen.ts';
import { environmentKeySchema, flagKeySchema, textSchema } from '../flags/names.ts';
import { GOVERNED_READ, GOVERNED_WRITE, idBeginsShape, noContent } from '../http/route.ts';
import { momentSchema, toEpochMs } from '../moment.ts';
import {
  listRequestPlaces,
  listRequests,
  type RequestFilter,
  type VisibleRequests,
} from '../store/request-list.ts';
import { OPEN_STATES } from '../store/request-states.ts';
import type { Db } from '../store/statement.ts';
import { strongTag } from '../strong-tag.ts';
import { apply } from './apply.ts';
import {
  contentSchemaOf,
  editContent,
  editSchemaOf,
  readDigestSchema,
  toContent,
  toEdit,
} from './content.ts';
import { edit } from './edit.ts';
import type { GateContext } from './gates.ts';
import { assertFilter } from './list-filter.ts';
import { namedByContent, namedRequest } from './named.ts';
import { findExisting } from './open-request.ts';
import { propose } from './propose.ts';
import { receiptsOf } from './receipts.ts';
import { type ChangeRequest, fromRow, loadRequest, loadVotes } from './request.ts';
import { REQUEST_STATES } from './states.ts';
import { type RequestView, requestViewSchema, toView } from './view.ts';
import { approve, reject } from './vote.ts';
import { withdraw } from './withdraw.ts';

/** The dependencies of {@link requestRoutes}. */
export interface RequestRoutesDeps {
  control: ControlDeps;
}

const idParams = z.object({ id: z.uuid() });
const voteSchema = z
  .strictObject({
    digest: readDigestSchema,
    comment: textSchema(2000).optional(),
  })
  .meta({ id: 'VoteOrder' });
const scheduleSchema = z
  .strictObject({
    at: z
      .union([z.literal('next_window'), momentSchema])
      .meta({ description: 'A time, or `next_window`: as soon as the change windows of the policy allow.' }),
    digest: readDigestSchema.optional(),
  })
  .meta({ id: 'Schedule' });
const rebaseSchema = z
  .strictObject({ digest: readDigestSchema.optional() })
  .optional()
  .meta({ id: 'Rebase' });
const readSchema = z
  .strictObject({ digest: readDigestSchema.optional() })
  .optional()
  .meta({ id: 'ContentRead' });
const listSchemaOf = ({ all }: RequestKinds) =>
  z.strictObject({
    state: z
      .array(z.enum(['open', ...REQUEST_STATES]))
      .min(1)
      .optional()
      .meta({ description: 'One or more states; `open` stands for those that are not final.' }),
    kind: z.enum(all.map(({ name }) => name)).optional(),
    environment: environmentKeySchema.optional(),
    flag: flagKeySchema.optional(),
    ...idBeginsShape,
    proposer: z.string().max(512).optional().meta({ description: 'The id of the principal.' }),
  });

const { route, list } = routesFor<RequestRoutesDeps>({ tag: 'Requests', format: 'problem', since: '1.0' });

/** What the calls that change one request have in common. */
export const CHANGE = {
  method: 'POST',
  caller: 'any',
  params: idParams,
  success: 200,
  answer: requestViewSchema,
  etag: strongTag,
  namedBy: async (
    { control }: RequestRoutesDeps,
    { params }: Pick<Given<z.infer<typeof idParams>>, 'params'>,
  ) => [await namedRequest(control, params.id)],
} as const;

/**
 * The workflow of design section 7.
 *
 * @param kinds the kinds of requests that the broker supports; each adds its content
 */
export function requestRoutes(kinds: RequestKinds) {
  return [
    route({
      name: 'proposeRequest',
      operation: 'request.propose',
      method: 'POST',
      path: '/v1/requests',
      summary: 'propose a change; it is applied at once if nothing is missing',
      caller: 'any',
      // Safer changes pass a freeze if the policy permits it. Requests that change no flags always do.
      outcomes: { ...GOVERNED_WRITE, frozen: 'refused' },
      body: contentSchemaOf(kinds),
      success: 201,
      answer: requestViewSchema,
      errors: ['invalid_change', 'not_found'],
      idempotent: true,
      etag: strongTag,
      location: ({ id }) => `/v1/requests/${id}`,
      namedBy: ({ control }, { body }) => namedByContent(control, toContent(body)),
      handle: async ({ control }, { body, write }) => ({
        body: await write(async (writing) => {
          const settled = await propose(writing, toContent(body));
          if (settled instanceof Refused) return settled;
          return toView(settled.request, { ...writing, votes: [], kinds: control.kinds });
        }),
      }),
    }),
    list({
      name: 'listRequests',
      operation: 'request.read',
      method: 'GET',
      path: '/v1/requests',
      summary: 'list requests, newest first',
      caller: 'any',
      outcomes: GOVERNED_READ,
      query: listSchemaOf(kinds),
      errors: ['not_found'],
      success: 200,
      answer: requestViewSchema,
      handle: async ({ control }, { call, query, page: { limit, place } }) => {
        const { environment } = query;
        assertEnvironment(await askingOf(control, call), environment, { operation: 'request.read' });
        await authorizeRead(control, call, { operation: 'request.read', environment: environment ?? null });
        const visible = await visibleTo({ control, call }, environment);
        const { rows, next } = await listRequests(control.store.read, {
          filter: toFilter(query),
          visible,
          beforeId: place === null ? null : String(place),
          limit,
        });
        if (rows.length === 0 && place === null) await assertFilter(control, call, query, visible);
        const context = { now_ms: control.clock(), policy: control.policies.latest(), kinds: control.kinds };
        // Lists omit votes: they would cost one look-up per request.
        return { items: rows.map((row) => toView(fromRow(row), { ...context, votes: [] })), next };
      },
    }),
    route({
      name: 'getRequest',
      readsOneRequest: true,
      operation: 'request.read',
      method: 'GET',
      path: '/v1/requests/{id}',
      summary: 'read a request with its votes',
      caller: 'any',
      outcomes: GOVERNED_READ,
      params: idParams,
      success: 200,
      answer: requestViewSchema,
      also: { 304: noContent },
      etag: strongTag,
      ifNoneMatch: true,
      handle: async ({ control }, { call, params }) => {
        await assertSeen(control, call, await namedRequest(control, params.id));
        const request = await findExisting(control.store.read, params.id);
        const policy = control.policies.latest();
        const { kinds, store } = control;
        const now_ms = control.clock();
        const view = await viewOf(store.read, request, { now_ms, policy, kinds });
        const receipts = await receiptsOf(store.read, request.id, now_ms);
        // Without any, its tag is that of the answers to writes.
        return { body: receipts.length === 0 ? view : { ...view, receipts } };
      },
    }),
    route({
      ...CHANGE,
      name: 'editRequest',
      operation: 'request.edit',
      method: 'PATCH',
      path: '/v1/requests/{id}',
      summary: 'edit a request; the digest changes, so approvals are void',
      outcomes: { ...GOVERNED_WRITE, frozen: 'refused' },
      body: editSchemaOf(kinds),
      errors: ['request_closed', 'invalid_change'],
      ifMatch: true,
      namedBy: async ({ control }, { params, body }) => {
        const request = await loadRequest(control.store.read, params.id);
        const named = await namedRequest(control, params.id);
        if (request === undefined) return [named];
        const edited = editContent(control.kinds.of(request.kind), request.content, toEdit(body));
        return [named, ...(await namedByContent(control, edited))];
      },
      handle: async ({ control }, { params, body, ifMatch, write }) => {
        const order = {
          request_id: params.id,
          change: toEdit(body),
          condition: { digest: body.digest, ifMatch },
        };
        return { body: await write(answeredAs(control, (writing) => edit(writing, order))) };
      },
    }),
    route({
      ...CHANGE,
      name: 'approveRequest',
      operation: 'request.approve',
      path: '/v1/requests/{id}/approve',
      summary: 'approve exactly the `digest` that was read',
      // The vote counts, but the freeze holds the request back.
      outcomes: { ...GOVERNED_WRITE, frozen: 'held' },
      body: voteSchema,
      errors: ['request_closed', 'digest_mismatch'],
      handle: async ({ control }, { params, body: { digest, comment = null }, write }) => {
        const order = { request_id: params.id, digest, comment };
        return { body: await write(answeredAs(control, (writing) => approve(writing, order))) };
      },
    }),
    route({
      ...CHANGE,
      name: 'rejectRequest',
      operation: 'request.reject',
      path: '/v1/requests/{id}/reject',
      summary: 'reject exactly the `digest` that was read; final',
      outcomes: GOVERNED_WRITE,
      body: voteSchema,
      errors: ['request_closed', 'digest_mismatch'],
      handle: async ({ control }, { params, body: { digest, comment = null }, write }) => {
        const order = { request_id: params.id, digest, comment };
        return { body: await write(answeredAs(control, (writing) => reject(writing, order))) };
      },
    }),
    route({
      ...CHANGE,
      name: 'withdrawRequest',
      operation: 'request.withdraw',
      path: '/v1/requests/{id}/withdraw',
      summary: 'take a request back; with a `digest`, exactly that content',
      // An author may withdraw even without a role; everybody else is refused.
      outcomes: GOVERNED_WRITE,
      body: readSchema,
      errors: ['request_closed', 'digest_mismatch'],
      handle: async ({ control }, { params, body: { digest = null } = {}, write }) => {
        const order = { request_id: params.id, digest };
        return { body: await write(answeredAs(control, (writing) => withdraw(writing, order))) };
      },
    }),
    route({
      ...CHANGE,
      name: 'applyRequest',
      operation: 'request.apply',
      path: '/v1/requests/{id}/apply',
      summary: 'apply a request that is ready; with a `digest`, exactly that content',
      outcomes: { ...GOVERNED_WRITE, frozen: 'refused' },
      body: readSchema,
      errors: ['request_closed', 'request_conflicted', 'digest_mismatch'],
      handle: async ({ control }, { params, body: { digest = null } = {}, write }) => {
        const order = { request_id: params.id, digest };
        return { body: await write(answeredAs(control, (writing) => apply(writing, order))) };
      },
    }),
    route({
      ...CHANGE,
      name: 'scheduleRequest',
      operation: 'request.schedule',
      path: '/v1/requests/{id}/schedule',
      summary: 'set a start time, or the next window',
      outcomes: { ...GOVERNED_WRITE, frozen: 'refused' },
      body: scheduleSchema,
      errors: ['request_closed', 'invalid_change'],
      ifMatch: true,
      handle: async ({ control }, { params, body: { at, digest }, ifMatch, write }) => {
        const start_ms = at === 'next_window' ? null : toEpochMs(at);
        const order = {
          request_id: params.id,
          change: { start_ms, apply: 'auto' },
          condition: { digest, ifMatch },
          operation: 'request.schedule',
        } as const;
        return { body: await write(answeredAs(control, (writing) => edit(writing, order))) };
      },
    }),
    route({
      ...CHANGE,
      name: 'rebaseRequest',
      operation: 'request.edit',
      path: '/v1/requests/{id}/rebase',
      summary: 'base the same content on the flags as they are now',
      outcomes: { ...GOVERNED_WRITE, frozen: 'refused' },
      body: rebaseSchema,
      errors: ['request_closed', 'invalid_change'],
      ifMatch: true,
      handle: async ({ control }, { params, body, ifMatch, write }) => {
        const order = { request_id: params.id, change: {}, condition: { digest: body?.digest, ifMatch } };
        return { body: await write(answeredAs(control, (writing) => edit(writing, order))) };
      },
    }),
  ];
}

function toFilter({ state, ...rest }: z.infer<ReturnType<typeof listSchemaOf>>): RequestFilter {
  const states = state?.flatMap((each) => (each === 'open' ? OPEN_STATES : [each]));
  return { ...rest, ...(states === undefined ? {} : { state: states }) } as RequestFilter;
}

async function viewOf(db: Db, request: ChangeRequest, context: GateContext): Promise<RequestView> {
  return toView(request, { ...context, votes: await loadVotes(db, request.id) });
}

/** Builds the answer in the write itself: what is committed can be answered, whatever fails afterwards. */
export function answeredAs(
  control: ControlDeps,
  work: (writing: WriteContext) => Promise<ChangeRequest | Refused>,
): (writing: WriteContext) => Promise<RequestView | Refused> {
  return async (writing) => {
    const request = await work(writing);
    if (request instanceof Refused) return request;
    return viewOf(writing.tx, request, { ...writing, kinds: control.kinds });
  };
}

/** The requests that the caller may read. */
async function visibleTo(
  { control, call }: RequestRoutesDeps & Pick<Given, 'call'>,
  environment: string | undefined,
): Promise<VisibleRequests[]> {
  const isReadable = await readablePlaces(control, call, 'request.read');
  const { environments, namespaces } = await listRequestPlaces(control.store.read);
  // Every record of an environment may have been erased.
  const all = new Set([...environments, ...environmentsOf(control.policies.latest())]);
  return (environment === undefined ? [...all] : [environment]).map((each) => ({
    environment: each,
    namespaces: namespaces.filter((namespace) => isReadable({ environment: each, namespace })),
    others: isReadable({ environment: each, namespace: null }),
  }));
}
