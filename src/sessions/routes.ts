import { Router } from 'express';
import { z } from 'zod';
import { callOf, type Edge, presentedBy } from '../decide/edge.ts';
import { authorizeRead } from '../decide/read.ts';
import { parse } from '../http/body.ts';
import type { Credential } from '../identity/credential.ts';
import type { Principal } from '../principal.ts';
import type { SessionsTable } from '../store/schema.ts';
import { endSession } from './end-session.ts';
import { type Sessions, sessionIdOf } from './sessions.ts';

/** The response of `GET /v1/whoami`: the principal of the caller's token or session. */
export interface WhoamiView {
  principal: Principal;
  credential: Pick<Credential, 'issuer' | 'token_id' | 'issued_ms' | 'expires_ms'>;
  /** The id of the session; null for a token. */
  session: string | null;
}

/** One of the caller's own open browser sessions. */
export interface SessionView
  extends Pick<SessionsTable, 'id' | 'issuer' | 'opened_ms' | 'seen_ms' | 'expires_ms' | 'user_agent'> {
  /** Whether it is the session of this request. */
  current: boolean;
}

/**
 * `GET /v1/whoami`: the principal of the caller's token or session. `GET /v1/sessions` and `DELETE /v1/sessions/{id}`:
 * the caller's own browser sessions. To end the sessions of others, revoke them.
 */
export function sessionRoutes(edge: Edge, sessions: Sessions): Router {
  const { control } = edge;
  const router = Router();

  // This asks no policy, because it returns only what the caller presented.
  router.get('/v1/whoami', async (req, res) => {
    const { principal, credential } = await edge.authenticate(presentedBy(req));
    const { issuer, token_id, issued_ms, expires_ms } = credential;
    const answer: WhoamiView = {
      principal,
      credential: { issuer, token_id, issued_ms, expires_ms },
      session: sessionIdOf(credential),
    };
    res.json(answer);
  });

  router.get('/v1/sessions', async (req, res) => {
    const call = await callOf(edge, req);
    await authorizeRead(control, call, { operation: 'session.read' });
    const current = call.credential === null ? null : sessionIdOf(call.credential);
    const items = (await sessions.listOpen(call.principal)).map((row) => toView(row, current));
    res.json({ items });
  });

  router.delete('/v1/sessions/:id', async (req, res) => {
    const call = await callOf(edge, req);
    const id = parse(z.uuid(), req.params.id, 'The id');
    await endSession(control, call, { id, reason: 'ended' });
    res.status(204).end();
  });

  return router;
}

function toView(
  { id, issuer, opened_ms, seen_ms, expires_ms, user_agent }: SessionsTable,
  current: string | null,
): SessionView {
  return { id, issuer, opened_ms, seen_ms, expires_ms, user_agent, current: id === current };
}
