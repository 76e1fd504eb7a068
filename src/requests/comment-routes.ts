import { z } from 'zod';
import { pageOf, routesFor } from '../decide/edge.ts';
import { assertSeen } from '../decide/seen.ts';
import { textSchema } from '../flags/names.ts';
import { GOVERNED_READ, GOVERNED_WRITE } from '../http/route.ts';
import { listComments } from '../store/comments.ts';
import { comment, requestChanges, toCommentView, withdrawOwnComment } from './comment.ts';
import { commentViewSchema } from './comment-view.ts';
import { readDigestSchema } from './content.ts';
import { namedRequest } from './named.ts';
import { findExisting } from './open-request.ts';
import { answeredAs, CHANGE, type RequestRoutesDeps } from './routes.ts';

const { route, list } = routesFor<RequestRoutesDeps>({ tag: 'Requests', format: 'problem', since: '1.0' });

const idParams = z.object({ id: z.uuid() });
const text = textSchema(2000);
const commentSchema = z
  .strictObject({ text, digest: readDigestSchema.optional() })
  .meta({ id: 'CommentOrder' });
const changesSchema = z.strictObject({ text, digest: readDigestSchema }).meta({ id: 'ChangesOrder' });

/** What people say about requests. */
export const commentRoutes = [
  list({
    name: 'listComments',
    operation: 'request.read',
    method: 'GET',
    path: '/v1/requests/{id}/comments',
    summary: 'list the comments on a request, oldest first',
    caller: 'any',
    outcomes: GOVERNED_READ,
    params: idParams,
    success: 200,
    answer: commentViewSchema,
    handle: async ({ control }, { call, params: { id }, page: { limit, place } }) => {
      await assertSeen(control, call, await namedRequest(control, id));
      const request = await findExisting(control.store.read, id);
      const after = place === null ? '' : String(place);
      const rows = await listComments(control.store.read, { request_id: id, after, limit: limit + 1 });
      return pageOf(limit, { rows, view: (row) => toCommentView(row, request), next: (row) => row.id });
    },
  }),
  route({
    name: 'commentOnRequest',
    operation: 'request.comment',
    method: 'POST',
    path: '/v1/requests/{id}/comments',
    summary: 'comment on a request, in whatever state it is',
    caller: 'any',
    outcomes: GOVERNED_WRITE,
    params: idParams,
    body: commentSchema,
    success: 201,
    answer: commentViewSchema,
    errors: ['digest_mismatch', 'state_conflict'],
    idempotent: true,
    namedBy: CHANGE.namedBy,
    handle: async ({ control }, { call, params: { id }, body: { text: said, digest = null }, write }) => {
      // The namespace of a freeze is not among the flags of the request that lifts it.
      await assertSeen(control, call, await namedRequest(control, id));
      return { body: await write((writing) => comment(writing, { request_id: id, text: said, digest })) };
    },
  }),
  route({
    ...CHANGE,
    name: 'requestChanges',
    operation: 'request.ask_changes',
    path: '/v1/requests/{id}/request-changes',
    summary: 'ask for changes of exactly the `digest` that was read; until then it is not applied',
    outcomes: GOVERNED_WRITE,
    body: changesSchema,
    errors: ['request_closed', 'digest_mismatch', 'state_conflict'],
    handle: async ({ control }, { params, body: { text: said, digest }, write }) => {
      const order = { request_id: params.id, text: said, digest };
      return { body: await write(answeredAs(control, (writing) => requestChanges(writing, order))) };
    },
  }),
  route({
    name: 'withdrawComment',
    operation: 'request.comment',
    method: 'POST',
    path: '/v1/requests/{id}/comments/{comment}/withdraw',
    summary: "withdraw one's own comment: its text is taken away, and it holds nothing back any more",
    caller: 'any',
    outcomes: GOVERNED_WRITE,
    params: idParams.extend({ comment: z.uuid() }),
    success: 200,
    answer: commentViewSchema,
    errors: ['state_conflict'],
    namedBy: CHANGE.namedBy,
    handle: async ({ control }, { call, params: { id, comment: own }, write }) => {
      await assertSeen(control, call, await namedRequest(control, id));
      return { body: await write((writing) => withdrawOwnComment(writing, { request_id: id, id: own })) };
    },
  }),
];
