import { z } from 'zod';
import { authorize } from '../decide/authorize.ts';
import type { ControlDeps, RequestKinds } from '../decide/control.ts';
import { routesFor } from '../decide/edge.ts';
import { environmentKeySchema, namespaceSchema } from '../flags/names.ts';
import { GOVERNED_WRITE } from '../http/route.ts';
import { OPERATION_NAMES, OPERATIONS, type Operation } from '../operations.ts';
import { contentSchemaOf, toContent } from '../requests/content.ts';
import { explainDecision, explainPlan, explainRequest, explainWhatIf, type Reader } from './explain.ts';
import { explanationSchema } from './view.ts';
import { asSchema } from './who.ts';

/** The operations that can be asked about without a content: those that need a role and are about no request. */
const PLAIN_OPERATIONS = OPERATION_NAMES.filter((name) =>
  ['freeze', 'seen', 'somewhere', 'everywhere'].includes(OPERATIONS[name].at),
) as [Operation, ...Operation[]];

const explainSchemaOf = (kinds: RequestKinds) =>
  z
    .union([
      z.strictObject({ decision: z.string().max(100) }),
      z.strictObject({ request: z.uuid() }),
      z.strictObject({
        what_if: z.union([
          z.strictObject({ as: asSchema.optional(), content: contentSchemaOf(kinds) }),
          z.strictObject({
            as: asSchema.optional(),
            operation: z.enum(PLAIN_OPERATIONS),
            environment: environmentKeySchema.nullable().default(null),
            namespace: namespaceSchema.nullable().default(null),
          }),
        ]),
      }),
      z.strictObject({
        plan: contentSchemaOf(kinds).meta({ description: 'The body of a proposal. Nothing is proposed.' }),
      }),
    ])
    .meta({ id: 'Explain' });

/** The dependencies of {@link explainRoutes}. */
export interface ExplainRoutesDeps {
  control: ControlDeps;
  /** Writes who was seen lately, so that explanations know of them. */
  flushUsage: () => Promise<void>;
}

const { route } = routesFor<ExplainRoutesDeps>({ tag: 'Policy', format: 'problem', since: '1.0' });

/** Explanations of decisions. @param kinds the kinds of requests that the broker supports */
export function explainRoutes(kinds: RequestKinds) {
  return [
    route({
      name: 'explainPolicy',
      operation: ['request.read', 'decision.read', 'flag.read', 'access.read'],
      method: 'POST',
      path: '/v1/policy/explain',
      summary:
        'why the policy answers so, and what would change it: of a decision, a request, a what-if, or a plan',
      caller: 'any',
      // Reading a decision, and what names others, is recorded.
      outcomes: GOVERNED_WRITE,
      body: explainSchemaOf(kinds),
      success: 200,
      answer: explanationSchema,
      errors: ['not_found', 'invalid_change', 'state_conflict', 'request_closed'],
      handle: async ({ control, flushUsage }, { call, body, write }) => {
        const reader: Reader = {
          call,
          authorize: async (intent) => {
            await write((writing) => authorize(writing, intent));
            await flushUsage();
          },
        };
        if ('decision' in body) return { body: await explainDecision(control, reader, body.decision) };
        if ('request' in body) return { body: await explainRequest(control, reader, body.request) };
        if ('plan' in body) return { body: await explainPlan(control, reader, toContent(body.plan)) };
        const { what_if } = body;
        const asked = 'content' in what_if ? { ...what_if, content: toContent(what_if.content) } : what_if;
        return { body: await explainWhatIf(control, reader, asked) };
      },
    }),
  ];
}
