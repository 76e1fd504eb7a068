import { z } from 'zod';
import { anyQuery, GOVERNED_READ, noContent, type RouteShape } from '../http/route.ts';
import { evaluateFlags } from './ofrep-routes.ts';

/**
 * The definitions of an environment's flags for flagd and for providers that evaluate in the application. `flagd.ts` serves
 * it.
 */
export const syncFlagd = {
  name: 'syncFlagd',
  operation: null,
  method: 'GET',
  path: '/flagd/v1/{environment}.json',
  tag: 'Evaluation',
  summary: 'the definitions of all flags for flagd, with a token of audience `data:<environment>`',
  format: 'problem',
  caller: evaluateFlags.caller,
  // Neither policy nor store is asked, as for evaluations.
  outcomes: { ...GOVERNED_READ, foreign_origin: 'refused', denied: 'allowed' },
  since: '1.0',
  // Whoever configures flagd may write any address.
  query: anyQuery,
  params: z.object({ environment: z.string().meta({ description: 'The environment of the token.' }) }),
  success: 200,
  answer: z
    .looseObject({
      $schema: z.string(),
      flags: z.record(z.string(), z.looseObject({})),
      metadata: z.object({
        flagSetId: z.string().meta({ description: 'The environment.' }),
        version: z
          .int()
          .optional()
          .meta({ description: 'The version of the environment, for readers of all its namespaces.' }),
      }),
    })
    .meta({ id: 'FlagdDocument', description: 'A flag configuration of flagd.' }),
  also: { 304: noContent },
  ifNoneMatch: true,
  errors: ['flags_not_loaded'],
} as const satisfies RouteShape;

/** The calls of flagd. */
export const flagdRoutes = [syncFlagd] as const;
