import { Router } from 'express';
import { z } from 'zod';
import { authorize } from '../decide/authorize.ts';
import { callOf, type Edge, parseQuery } from '../decide/edge.ts';
import { write } from '../decide/write.ts';
import { environmentKeySchema, namespaceSchema } from '../flags/names.ts';
import { CAPABILITIES } from '../operations.ts';
import { computeAccess } from './access.ts';

const accessSchema = z.strictObject({
  principal: z.string().max(512).optional(),
  capability: z.enum(CAPABILITIES).optional(),
  environment: environmentKeySchema.optional(),
  namespace: namespaceSchema.optional(),
  unused: z
    .enum(['true', 'false'])
    .transform((text) => text === 'true')
    .optional(),
  unused_days: z.coerce.number().int().min(1).max(3650).default(90),
});

/**
 * `GET /v1/access`: who may do what, by which binding, and when it was last used. The call is recorded.
 *
 * @param flushUsage writes pending usage data, so that the answer includes it
 */
export function accessRoutes(edge: Edge, flushUsage: () => Promise<void>): Router {
  const { control } = edge;
  const router = Router();
  router.get('/v1/access', async (req, res) => {
    const call = await callOf(edge, req);
    const { unused_days, ...filter } = parseQuery(accessSchema, req);
    await write(control, call, (writing) =>
      authorize(writing, { operation: 'access.read', environment: filter.environment ?? null }),
    );
    await flushUsage();
    res.json(await computeAccess(control, { filter, unused_days }));
  });
  return router;
}
