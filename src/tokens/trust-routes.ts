import { Router } from 'express';
import { z } from 'zod';
import { callOf, type Edge } from '../decide/edge.ts';
import { parse } from '../http/body.ts';
import { MAX_TOKEN_BYTES } from '../identity/token-form.ts';
import { SCOPE, uniqueWords } from './exchange-form.ts';
import type { SubjectDeps } from './subject.ts';
import { testTrust } from './trust-test.ts';

const orderSchema = z.strictObject({
  /** Longer tokens get the same response as every oversized token. */
  token: z
    .string()
    .min(1)
    .max(4 * MAX_TOKEN_BYTES),
  audience: z.string().min(1).max(200).default('control'),
  scope: z
    .string()
    .regex(SCOPE, 'must be operation names separated by single spaces')
    .transform(uniqueWords)
    .optional(),
});

/** What {@link trustRoutes} needs to verify platform tokens. */
export type TrustRoutesDeps = SubjectDeps;

/** `POST /v1/trust/test`: reports the result of a hypothetical exchange of a platform's token, and why. */
export function trustRoutes(edge: Edge, deps: TrustRoutesDeps): Router {
  const router = Router();
  router.post('/v1/trust/test', async (req, res) => {
    const call = await callOf(edge, req);
    const { token, audience, scope } = parse(orderSchema, req.body);
    const report = await testTrust({ ...deps, control: edge.control }, call, { token, audience, scope });
    res.json(report);
  });
  return router;
}
