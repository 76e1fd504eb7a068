import { Router } from 'express';
import type { SigningKeys } from '../identity/keys.ts';
import { callOf, type Edge } from '../use-case/edge.ts';
import { authorize, write } from '../use-case/use-case.ts';

/** `POST /v1/keys/rotate`: a new signing key from now on; the former ones verify until their tokens have expired. */
export function keyRoutes(edge: Edge, signingKeys: SigningKeys): Router {
  const router = Router();
  router.post('/v1/keys/rotate', async (req, res) => {
    const call = await callOf(edge, req);
    // The record first: a rotation that cannot be recorded does not happen.
    await write(edge.control, call, (writing) => authorize(writing, { operation: 'key.rotate' }));
    const kid = await signingKeys.rotate();
    res.status(201).json({ kid });
  });
  return router;
}
