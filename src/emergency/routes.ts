import { Router } from 'express';
import { z } from 'zod';
import { callOf, type Edge, idempotencyKeyOf, pageShape, parseQuery } from '../decide/edge.ts';
import { once } from '../decide/idempotency.ts';
import { authorizeRead } from '../decide/read.ts';
import { Refused } from '../decide/refused.ts';
import { write } from '../decide/write.ts';
import { parse } from '../http/body.ts';
import { applyInSession, breakglassChangeSchema } from '../requests/break-glass.ts';
import { toView } from '../requests/view.ts';
import { listActiveFreezes, listFreezes, listSessions } from '../store/emergency.ts';
import { close, open, openSessionSchema, toBreakglassView } from './break-glass.ts';
import { engage, freezeSchema, toFreezeView } from './freeze.ts';

const listSchema = z.strictObject({
  limit: pageShape.limit,
  /** `active` omits lifted freezes. */
  state: z.enum(['active', 'all']).default('active'),
});
const sessionListSchema = listSchema.pick({ limit: true });

/**
 * Freezes and break-glass sessions (design section 8). A freeze is lifted by a change request of kind `freeze.lift`.
 *
 *     POST /v1/freezes                 engage      GET  /v1/freezes                      list
 *     POST /v1/break-glass             open        GET  /v1/break-glass                  list
 *     POST /v1/break-glass/{id}/apply  change      POST /v1/break-glass/{id}/close       close
 */
export function emergencyRoutes(edge: Edge): Router {
  const { control } = edge;
  const router = Router();

  router.post('/v1/freezes', async (req, res) => {
    const call = await callOf(edge, req);
    const order = parse(freezeSchema, req.body);
    const key = idempotencyKeyOf(req);
    const answer = await write(control, call, (writing) =>
      once(writing, key, async () => {
        const body = await engage(writing, order);
        return body instanceof Refused ? body : { status: 201, body };
      }),
    );
    res.status(answer.status).json(answer.body);
  });

  router.get('/v1/freezes', async (req, res) => {
    const call = await callOf(edge, req);
    const { limit, state } = parseQuery(listSchema, req);
    await authorizeRead(control, call, { operation: 'freeze.read' });
    const { read } = control.store;
    const rows = state === 'active' ? await listActiveFreezes(read) : await listFreezes(read, limit);
    res.json({ items: rows.map(toFreezeView) });
  });

  router.post('/v1/break-glass', async (req, res) => {
    const call = await callOf(edge, req);
    const order = parse(openSessionSchema, req.body);
    const key = idempotencyKeyOf(req);
    const answer = await write(control, call, (writing) =>
      once(writing, key, async () => {
        const body = await open(writing, order);
        return body instanceof Refused ? body : { status: 201, body };
      }),
    );
    res.status(answer.status).json(answer.body);
  });

  router.get('/v1/break-glass', async (req, res) => {
    const call = await callOf(edge, req);
    const { limit } = parseQuery(sessionListSchema, req);
    await authorizeRead(control, call, { operation: 'breakglass.read' });
    res.json({ items: (await listSessions(control.store.read, limit)).map(toBreakglassView) });
  });

  router.post('/v1/break-glass/:id/apply', async (req, res) => {
    const call = await callOf(edge, req);
    const change = parse(breakglassChangeSchema, req.body);
    const key = idempotencyKeyOf(req);
    const answer = await write(control, call, (writing) =>
      once(writing, key, async () => {
        const settled = await applyInSession(writing, req.params.id, change);
        if (settled instanceof Refused) return settled;
        return {
          status: 201,
          body: toView(settled.request, { votes: [], now_ms: writing.now_ms, kinds: control.kinds }),
        };
      }),
    );
    res.status(answer.status).json(answer.body);
  });

  router.post('/v1/break-glass/:id/close', async (req, res) => {
    const call = await callOf(edge, req);
    res.json(await write(control, call, (writing) => close(writing, req.params.id)));
  });

  return router;
}
