import { type Request, type Response, Router } from 'express';
import { z } from 'zod';
import type { Call, RequestKinds, WriteContext } from '../decide/control.ts';
import { callOf, type Edge, idempotencyKeyOf, pageShape, parseQuery, sendPage } from '../decide/edge.ts';
import { once } from '../decide/idempotency.ts';
import type { RequestContent } from '../decide/plan.ts';
import { authorizeRead, readablePlaces } from '../decide/read.ts';
import { Refused } from '../decide/refused.ts';
import { write } from '../decide/write.ts';
import { BrokerError } from '../errors.ts';
import { environmentKeySchema, flagKeySchema, textSchema } from '../flags/names.ts';
import { parse } from '../http/body.ts';
import { DIGEST_PATTERN } from '../json.ts';
import { momentSchema } from '../moment.ts';
import { findDefinition } from '../store/flags.ts';
import { listRequests, OPEN_STATES, type RequestFilter } from '../store/requests.ts';
import { apply } from './apply.ts';
import { contentSchemaOf, editSchemaOf } from './content.ts';
import { edit } from './edit.ts';
import { etagOf, findExisting } from './open-request.ts';
import { propose } from './propose.ts';
import { type ChangeRequest, fromRow, loadRequest, loadVotes, placesOf, REQUEST_STATES } from './request.ts';
import { toView } from './view.ts';
import { approve, reject } from './vote.ts';
import { withdraw } from './withdraw.ts';

const idSchema = z.uuid();
const digestSchema = z.string().regex(DIGEST_PATTERN, 'the digest you read, such as sha256:…');
const voteSchema = z.strictObject({ digest: digestSchema, comment: textSchema(2000).optional() });
const emptySchema = z.strictObject({}).optional();
const scheduleSchema = z.strictObject({
  /** A time, or `next_window`: as soon as the policy's change windows allow. */
  at: z.union([z.literal('next_window'), momentSchema]),
});
const listSchemaOf = ({ all }: RequestKinds) =>
  z.strictObject({
    ...pageShape,
    /** One state, several with commas, or `open`. */
    state: z
      .string()
      .transform((text) => (text === 'open' ? [...OPEN_STATES] : text.split(',')))
      .pipe(z.array(z.enum(REQUEST_STATES)))
      .optional(),
    kind: z.enum(all.map(({ name }) => name)).optional(),
    environment: environmentKeySchema.optional(),
    flag: flagKeySchema.optional(),
    proposer: z.string().max(512).optional(),
  });

/**
 * `/v1/requests`: the workflow of design section 7.
 *
 *     POST   /v1/requests                 propose          GET  /v1/requests        list
 *     GET    /v1/requests/{id}            read             PATCH …/{id}             edit (If-Match)
 *     POST   …/{id}/approve | reject | withdraw | apply    POST …/{id}/rebase | schedule (If-Match)
 */
export function requestRoutes(edge: Edge): Router {
  const { control, cursors } = edge;
  const { kinds } = control;
  const contentSchema = contentSchemaOf(kinds);
  const editSchema = editSchemaOf(kinds);
  const listSchema = listSchemaOf(kinds);
  const router = Router();

  router.post('/v1/requests', async (req, res) => {
    const call = await callOf(edge, req);
    const content = parse(contentSchema, req.body);
    const key = idempotencyKeyOf(req);
    const answer = await write(control, call, (writing) =>
      once(writing, key, async () => {
        const settled = await propose(writing, content);
        if (settled instanceof Refused) return settled;
        const { request } = settled;
        return {
          status: 201,
          body: toView(request, { votes: [], now_ms: writing.now_ms, kinds }),
          etag: etagOf(request),
        };
      }),
    ).catch(async (error: unknown) => {
      if (error instanceof BrokerError && error.code === 'invalid_change')
        await assertFlagsReadable(call, content);
      throw error;
    });
    if (answer.replayed) res.set('Idempotent-Replayed', 'true');
    if (answer.etag !== undefined) res.set('ETag', answer.etag);
    res.status(answer.status).location(`/v1/requests/${(answer.body as { id: string }).id}`);
    res.json(answer.body);
  });

  router.get('/v1/requests', async (req, res) => {
    const call = await callOf(edge, req);
    const { limit, cursor, ...filter } = parseQuery(listSchema, req);
    await authorizeRead(control, call, {
      operation: 'request.read',
      environment: filter.environment ?? null,
    });
    const isReadable = await readablePlaces(control, call, 'request.read');
    const place = cursor === undefined ? null : String(cursors.open('requests', filter, cursor));
    const rows = await listRequests(control.store.read, {
      filter: filter as RequestFilter,
      beforeId: place,
      limit: limit + 1,
    });
    const nowMs = control.clock();
    sendPage(req, res, {
      rows: rows.map(fromRow),
      limit,
      visible: (request) =>
        placesOf(request).every(({ namespace }) => isReadable(namespace, request.environment)),
      // Lists omit votes: they would cost one look-up per request.
      view: (request) => toView(request, { votes: [], now_ms: nowMs, kinds }),
      next: (request) => cursors.sign('requests', filter, request.id),
    });
  });

  router.get('/v1/requests/:id', async (req, res) => {
    const call = await callOf(edge, req);
    const request = await findExisting(control.store.read, requestId(req));
    await assertReadable(call, request);
    await send(res, request);
  });

  router.patch('/v1/requests/:id', (req, res) =>
    changeRequest(req, res, editSchema, (writing, change) => {
      return edit(writing, { request_id: requestId(req), change, ifMatch: req.get('If-Match') });
    }),
  );

  router.post('/v1/requests/:id/rebase', (req, res) =>
    changeRequest(req, res, emptySchema, (writing) => {
      return edit(writing, { request_id: requestId(req), change: {}, ifMatch: req.get('If-Match') });
    }),
  );

  router.post('/v1/requests/:id/schedule', (req, res) =>
    changeRequest(req, res, scheduleSchema, (writing, { at }) => {
      const start_ms = at === 'next_window' ? null : at;
      return edit(writing, {
        request_id: requestId(req),
        change: { start_ms, apply: 'auto' },
        ifMatch: req.get('If-Match'),
        operation: 'request.schedule',
      });
    }),
  );

  router.post('/v1/requests/:id/approve', (req, res) =>
    changeRequest(req, res, voteSchema, (writing, { digest, comment = null }) => {
      return approve(writing, { request_id: requestId(req), digest, comment });
    }),
  );

  router.post('/v1/requests/:id/reject', (req, res) =>
    changeRequest(req, res, voteSchema, (writing, { digest, comment = null }) => {
      return reject(writing, { request_id: requestId(req), digest, comment });
    }),
  );

  router.post('/v1/requests/:id/withdraw', (req, res) =>
    changeRequest(req, res, emptySchema, (writing) => withdraw(writing, requestId(req))),
  );

  router.post('/v1/requests/:id/apply', (req, res) =>
    changeRequest(req, res, emptySchema, (writing) => apply(writing, requestId(req))),
  );

  /** Runs one use case that changes a request, and answers the request afterwards. */
  async function changeRequest<Body>(
    req: Request,
    res: Response,
    schema: z.ZodType<Body>,
    work: (writing: WriteContext, body: Body) => Promise<ChangeRequest | Refused>,
  ): Promise<void> {
    const call = await callOf(edge, req);
    const body = parse(schema, req.body);
    const request = await write(control, call, (writing) => work(writing, body)).catch(
      async (error: unknown) => {
        // Only a caller who may read the request gets a refusal that describes it.
        if (error instanceof BrokerError && error.code !== 'policy_denied') {
          const existing = await loadRequest(control.store.read, requestId(req));
          if (existing !== undefined) await assertReadable(call, existing);
        }
        throw error;
      },
    );
    await send(res, request);
  }

  async function assertReadable(call: Call, request: ChangeRequest): Promise<void> {
    for (const place of placesOf(request))
      await authorizeRead(control, call, { operation: 'request.read', ...place });
  }

  /** The faults of a change describe the flag, so only callers who may read the flag get them. */
  async function assertFlagsReadable(call: Call, content: RequestContent): Promise<void> {
    for (const flag of kinds.of(content.kind).flagsOf(content)) {
      const definition = await findDefinition(control.store.read, flag);
      await authorizeRead(control, call, {
        operation: 'flag.read',
        namespace: definition?.namespace ?? null,
      });
    }
  }

  async function send(res: Response, request: ChangeRequest): Promise<void> {
    const votes = await loadVotes(control.store.read, request.id);
    res.set('ETag', etagOf(request)).json(toView(request, { votes, now_ms: control.clock(), kinds }));
  }

  return router;
}

function requestId(req: Request): string {
  const parsed = idSchema.safeParse(req.params.id);
  if (!parsed.success) throw new BrokerError('not_found', 'No request has this id.');
  return parsed.data;
}
