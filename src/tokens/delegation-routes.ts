import { routesFor } from '../decide/edge.ts';
import { GOVERNED_WRITE } from '../http/route.ts';
import { type DelegateDeps, delegate, delegationAnswerSchema, delegationOrderSchema } from './delegate.ts';

const { route } = routesFor<DelegateDeps>({ tag: 'Who is calling', format: 'problem', since: '1.0' });

/** Delegation: a token with which an agent may act for the calling person. */
export const delegationRoutes = [
  route({
    name: 'delegate',
    operation: 'agent.delegate',
    method: 'POST',
    path: '/v1/delegations',
    summary: 'let an agent act for you, with a token that it exchanges together with its own',
    caller: 'any',
    outcomes: GOVERNED_WRITE,
    body: delegationOrderSchema,
    success: 201,
    answer: delegationAnswerSchema,
    // Not idempotent: the answer is a secret, and must not be stored for a retry.
    handle: async (deps, { call, body }) => ({ body: await delegate(deps, call, body) }),
  }),
];
