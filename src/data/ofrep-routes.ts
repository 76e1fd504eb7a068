import { z } from 'zod';
import { GOVERNED_READ, GOVERNED_WRITE, noContent, type RouteShape } from '../http/route.ts';

/*
 * The calls of the data plane, for the list of routes. `ofrep.ts` serves them.
 */

/** An evaluation request. Most attributes of a context are the application's own. @see OFREP 0.3.0 */
const evaluationRequestSchema = z
  .looseObject({
    context: z
      .looseObject({
        targetingKey: z.string().optional().meta({ description: 'The id of the user or the object.' }),
      })
      .optional(),
  })
  .optional()
  .meta({ id: 'EvaluationRequest', description: 'Without a body or a context, the context is empty.' });

/** The evaluation of one flag. @see OFREP 0.3.0, `serverEvaluationSuccess` */
const evaluationSchema = z
  .object({
    key: z.string(),
    value: z.union([z.boolean(), z.string(), z.number(), z.record(z.string(), z.unknown())]),
    variant: z.string(),
    reason: z.enum(['STATIC', 'TARGETING_MATCH', 'SPLIT', 'DISABLED', 'DEFAULT']).meta({
      description:
        '`STATIC`: everybody gets it. `DEFAULT`: neither audience, rules nor rollout chose a variant for the context.',
    }),
    metadata: z.object({ version: z.int().meta({ description: 'The version of the state of the flag.' }) }),
  })
  .meta({ id: 'Evaluation' });

const bulkEvaluationSchema = z
  .object({
    flags: z.array(evaluationSchema),
    metadata: z.object({
      environment: z.string(),
      version: z
        .int()
        .optional()
        .meta({ description: 'The version of the environment, for readers of all its namespaces.' }),
    }),
    eventStreams: z
      .array(
        z.object({
          type: z.enum(['sse']),
          endpoint: z.object({
            requestUri: z.string().meta({
              description:
                'Path and query at the origin of the broker, with a ticket that ends with the token. Use it as it is, and keep it secret.',
            }),
          }),
          inactivityDelaySec: z.int().min(1),
        }),
      )
      .optional()
      .meta({ description: 'Where changes are told. Without `EventSource`, ask again every few seconds.' }),
  })
  .meta({ id: 'BulkEvaluation' });

const evaluation = {
  operation: null,
  method: 'POST',
  tag: 'Evaluation',
  format: 'ofrep',
  // Only a token of audience `data:<environment>` counts, and neither policy nor store is asked.
  caller: 'data',
  outcomes: { ...GOVERNED_WRITE, denied: 'allowed', unwritable: 'allowed' },
  since: '1.0',
  body: evaluationRequestSchema,
  success: 200,
} as const;

/** All flags for one context, with `ETag` and `If-None-Match`. */
export const evaluateFlags = {
  ...evaluation,
  name: 'evaluateFlags',
  path: '/ofrep/v1/evaluate/flags',
  summary: 'evaluate all flags for one context, with a token of audience `data:<environment>` (OFREP)',
  answer: bulkEvaluationSchema,
  also: { 304: noContent },
  ifNoneMatch: true,
  query: z.looseObject({
    flagConfigEtag: z.string().optional().meta({
      description:
        '`etag` of the event that caused the request. If it is not that of the flags here, they are loaded again, and the answer is 200.',
    }),
    flagConfigLastModified: z.string().optional().meta({ description: 'Accepted; events have none.' }),
  }),
} as const satisfies RouteShape;

/** One flag for one context. */
export const evaluateFlag = {
  ...evaluation,
  name: 'evaluateFlag',
  path: '/ofrep/v1/evaluate/flags/{key}',
  summary: 'evaluate one flag',
  params: z.object({ key: z.string() }),
  answer: evaluationSchema,
} as const satisfies RouteShape;

/** Tells that the answer of {@link evaluateFlags} may have changed. @see OFREP 0.3.0, ADR-0008 */
export const followFlags = {
  name: 'followFlags',
  operation: null,
  method: 'GET',
  path: '/ofrep/v1/events',
  tag: 'Evaluation',
  summary: 'server-sent events whenever flags that the token reads have changed (OFREP)',
  format: 'ofrep',
  caller: 'data',
  outcomes: { ...GOVERNED_READ, foreign_origin: 'refused', denied: 'allowed' },
  since: '1.0',
  query: z.looseObject({
    ticket: z.string().optional().meta({
      description: 'Of the address in an answer for all flags: instead of a token, for `EventSource`.',
    }),
  }),
  success: 200,
  answer: z.string().meta({
    description:
      'Events with an id and the data `{"type": "refetchEvaluation", "etag": …}`. The first one comes at once, unless `Last-Event-ID` is the newest id.',
  }),
  answerType: 'text/event-stream',
} as const satisfies RouteShape;

/** The calls of the data plane. */
export const ofrepRoutes = [evaluateFlags, evaluateFlag, followFlags] as const;
