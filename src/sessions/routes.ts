import { z } from 'zod';
import type { ControlDeps } from '../decide/control.ts';
import { routesFor } from '../decide/edge.ts';
import { authorizeRead } from '../decide/read.ts';
import { GOVERNED_READ, GOVERNED_WRITE, noContent } from '../http/route.ts';
import { epochMs } from '../moment.ts';
import { principalSchema } from '../principal.ts';
import type { SessionsTable } from '../store/schema.ts';
import { endSession } from './end-session.ts';
import { type Sessions, sessionIdOf } from './sessions.ts';

/** The dependencies of {@link sessionRoutes}. */
export interface SessionRoutesDeps {
  control: ControlDeps;
  sessions: Sessions;
}

/** The answer of `GET /v1/whoami`. */
export const whoamiViewSchema = z
  .object({
    principal: principalSchema.meta({ id: 'Principal' }),
    credential: z.object({
      issuer: z.string().meta({
        description: 'The `iss` of the token; for a session the issuer where the person signed in.',
      }),
      token_id: z.string().meta({
        description: '`jti:…` or `sha256:…`; `session:<id>` for a browser session.',
      }),
      issued_ms: epochMs,
      expires_ms: epochMs,
    }),
    session: z.string().nullable().meta({ description: 'The id of the session; null for a token.' }),
  })
  .meta({ id: 'Whoami' });
export type WhoamiView = z.infer<typeof whoamiViewSchema>;

/** One of the caller's own open browser sessions. */
export const sessionViewSchema = z
  .object({
    id: z.string(),
    issuer: z.string(),
    opened_ms: epochMs,
    seen_ms: epochMs.meta({ description: 'The last use, to the minute.' }),
    expires_ms: epochMs.meta({ description: 'The absolute expiry.' }),
    user_agent: z.string(),
    current: z.boolean().meta({ description: 'Whether it is the session of this request.' }),
  })
  .meta({ id: 'BrowserSession' });
export type SessionView = z.infer<typeof sessionViewSchema>;

const { route } = routesFor<SessionRoutesDeps>({
  tag: 'Who is calling',
  format: 'problem',
  since: '1.0',
});

/** The caller, and the caller's own browser sessions. To end the sessions of others, revoke them. */
export const sessionRoutes = [
  route({
    name: 'whoami',
    // No policy is asked, because the answer is only what the caller presented.
    operation: null,
    method: 'GET',
    path: '/v1/whoami',
    summary: 'the principal of the token or session',
    caller: 'any',
    outcomes: { ...GOVERNED_READ, no_role: 'allowed', denied: 'allowed' },
    success: 200,
    answer: whoamiViewSchema,
    handle: async (_deps, { call }) => {
      const { credential } = call;
      const { issuer, token_id, issued_ms, expires_ms } = credential;
      return {
        body: {
          principal: call.principal,
          credential: { issuer, token_id, issued_ms, expires_ms },
          session: sessionIdOf(credential),
        },
      };
    },
  }),
  route({
    name: 'listSessions',
    operation: 'session.read',
    method: 'GET',
    path: '/v1/sessions',
    summary: 'list your browser sessions',
    caller: 'any',
    outcomes: { ...GOVERNED_READ, no_role: 'allowed' },
    success: 200,
    answer: z.object({ items: z.array(sessionViewSchema) }),
    handle: async ({ control, sessions }, { call }) => {
      await authorizeRead(control, call, { operation: 'session.read' });
      const current = call.credential === null ? null : sessionIdOf(call.credential);
      const items = (await sessions.listOpen(call.principal)).map((row) => toView(row, current));
      return { body: { items } };
    },
  }),
  route({
    name: 'endSession',
    operation: 'session.end',
    method: 'DELETE',
    path: '/v1/sessions/{id}',
    summary: 'end one of your browser sessions',
    caller: 'any',
    // Surrendering a credential needs no permission.
    outcomes: { ...GOVERNED_WRITE, denied: 'allowed' },
    params: z.object({ id: z.string().max(100) }),
    success: 204,
    answer: noContent,
    handle: async ({ control }, { call, params: { id } }) => {
      await endSession(control, call, { id, reason: 'ended' });
      return { body: undefined };
    },
  }),
];

function toView(
  { id, issuer, opened_ms, seen_ms, expires_ms, user_agent }: SessionsTable,
  current: string | null,
): SessionView {
  return { id, issuer, opened_ms, seen_ms, expires_ms, user_agent, current: id === current };
}
