import { Router } from 'express';
import { z } from 'zod';
import { callOf, type Edge, idempotencyKeyOf, pageShape, parseQuery, sendPage } from '../decide/edge.ts';
import { once } from '../decide/idempotency.ts';
import { authorizeRead } from '../decide/read.ts';
import { Refused } from '../decide/refused.ts';
import { write } from '../decide/write.ts';
import type { SigningKeysTable } from '../store/schema.ts';
import { listSigningKeys } from '../store/signing-keys.ts';
import { rotateKey } from './rotation.ts';
import { type KeyState, type SigningKeys, stateOf } from './signing-keys.ts';

const listSchema = z.strictObject(pageShape);

/** A signing key as returned by the API. */
export interface SigningKeyView {
  /** The RFC 7638 thumbprint. */
  kid: string;
  state: KeyState;
  created_ms: number;
  /** When the key stops verifying; null for the active key. */
  retires_ms: number | null;
}

/**
 * The signing keys of the broker's own tokens.
 *
 *     GET  /v1/keys          all keys, including retired ones, newest first
 *     POST /v1/keys/rotate   signs with a new key from now on; previous keys verify until their tokens have expired
 */
export function keyRoutes(edge: Edge, signingKeys: SigningKeys): Router {
  const { control, cursors } = edge;
  const router = Router();

  router.get('/v1/keys', async (req, res) => {
    const call = await callOf(edge, req);
    const { limit, cursor } = parseQuery(listSchema, req);
    await authorizeRead(control, call, { operation: 'key.read' });
    const nowMs = control.clock();
    // With one key a month, all keys fit on one page for years.
    const rows = (await listSigningKeys(control.store.read)).toReversed();
    const after = cursor === undefined ? null : cursors.open('keys', {}, cursor);
    const start = after === null ? 0 : rows.findIndex(({ kid }) => kid === after) + 1;
    sendPage(req, res, {
      rows: rows.slice(start, start + limit + 1),
      limit,
      view: (row) => toView(row, nowMs),
      next: (row) => cursors.sign('keys', {}, row.kid),
    });
  });

  router.post('/v1/keys/rotate', async (req, res) => {
    const call = await callOf(edge, req);
    const key = idempotencyKeyOf(req);
    const fresh = await signingKeys.prepare();
    const answer = await write(control, call, (writing) =>
      once(writing, key, async () => {
        const body = await rotateKey(writing, fresh);
        return body instanceof Refused ? body : { status: 201, body };
      }),
    );
    res.status(answer.status).json(answer.body);
  });

  return router;
}

function toView({ kid, created_ms, retires_ms }: SigningKeysTable, nowMs: number): SigningKeyView {
  return { kid, state: stateOf({ retires_ms }, nowMs), created_ms, retires_ms };
}
