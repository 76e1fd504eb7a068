import { Router } from 'express';
import { z } from 'zod';
import { callOf, type Edge } from '../decide/edge.ts';
import { parse } from '../http/body.ts';
import { MAX_DELEGATION_LIFE_S } from '../identity/issued-token.ts';
import { OPERATION_NAMES } from '../operations.ts';
import { type DelegateDeps, delegate } from './delegate.ts';

const orderSchema = z.strictObject({
  agent: z.string().min(1).max(63),
  operations: z.array(z.enum(OPERATION_NAMES)).min(1).max(OPERATION_NAMES.length).optional(),
  expires_in_s: z.int().min(1).max(MAX_DELEGATION_LIFE_S).optional(),
});

/** `POST /v1/delegations`: issues a token with which an agent may act for the calling person. */
export function delegationRoutes(edge: Edge, deps: Omit<DelegateDeps, 'control'>): Router {
  const router = Router();
  router.post('/v1/delegations', async (req, res) => {
    const call = await callOf(edge, req);
    const order = parse(orderSchema, req.body);
    const answer = await delegate({ ...deps, control: edge.control }, call, order);
    res.status(201).json(answer);
  });
  return router;
}
