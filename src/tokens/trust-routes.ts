import { z } from 'zod';
import { routesFor } from '../decide/edge.ts';
import { GOVERNED_WRITE } from '../http/route.ts';
import { MAX_TOKEN_BYTES } from '../identity/token-form.ts';
import { SCOPE, uniqueWords } from './exchange-form.ts';
import { trustReportSchema } from './trust-report.ts';
import { type TrustTestDeps, testTrust } from './trust-test.ts';

const trustTestSchema = z
  .strictObject({
    token: z
      .string()
      .min(1)
      // Longer tokens get the same response as every oversized token.
      .max(4 * MAX_TOKEN_BYTES)
      .meta({ description: 'The token exactly as the platform issued it.' }),
    audience: z.string().min(1).max(200).default('control'),
    scope: z.string().regex(SCOPE, 'must be operation names separated by single spaces').optional().meta({
      description: 'Operation names separated by single spaces. Default: all that the rule grants.',
    }),
  })
  .meta({ id: 'TrustTest' });

const { route } = routesFor<TrustTestDeps>({ tag: 'Who is calling', format: 'problem', since: '1.0' });

/** The result of a hypothetical exchange of a platform's token, and why. */
export const trustRoutes = [
  route({
    name: 'testTrust',
    operation: 'trust.test',
    method: 'POST',
    path: '/v1/trust/test',
    summary: "which trust rule a platform's token matches, and what it would get; issues nothing",
    caller: 'any',
    outcomes: GOVERNED_WRITE,
    body: trustTestSchema,
    success: 200,
    answer: trustReportSchema,
    handle: async (deps, { call, body: { token, audience, scope } }) => ({
      body: await testTrust(deps, call, {
        token,
        audience,
        scope: scope === undefined ? undefined : uniqueWords(scope),
      }),
    }),
  }),
];
