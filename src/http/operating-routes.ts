import { z } from 'zod';
import { routesFor } from '../decide/edge.ts';
import type { BrokerError } from '../errors.ts';
import { epochMs } from '../moment.ts';
import type { Metrics } from './metrics.ts';
import { anyQuery, PUBLIC, PUBLISHED } from './route.ts';

/** The readiness checks. Each one rejects when its component does not work. */
export interface HealthDeps {
  checks: Readonly<Record<string, () => Promise<unknown>>>;
  /** Why a write would be refused now, or null. */
  writeRefusal: () => Promise<BrokerError | null>;
  /** The activations of policies without a decision, newest first. */
  bootstraps: () => Promise<readonly z.infer<typeof bootstrapSchema>[]>;
  /** What works as it is configured, and should be corrected. */
  warnings: () => readonly Warning[];
}

/** A fault of the configuration or the policy that stops nothing. */
type Warning = z.infer<typeof warningSchema>;

const warningSchema = z.object({ code: z.string(), detail: z.string() });

/** The dependencies of {@link operatingRoutes}. */
export interface OperatingRoutesDeps {
  health: HealthDeps;
  metrics: Pick<Metrics, 'text' | 'contentType'>;
  /** The OpenAPI document of the list of routes. */
  openapi: () => string;
}

/** Everybody may read this: nothing that names a policy or a person. */
const bootstrapSchema = z
  .object({
    number: z.int().meta({ description: 'The number of the activation.' }),
    activated_ms: epochMs,
    kind: z.enum(['first_start', 'recovery']),
  })
  .meta({ id: 'BootstrapActivation' });

const readinessSchema = z
  .object({
    status: z.enum(['ready', 'not_ready']),
    checks: z
      .record(z.string(), z.enum(['ok', 'failing']))
      .meta({ description: 'The state of each component.' }),
    refusal: z
      .object({ code: z.string(), detail: z.string() })
      .optional()
      .meta({ description: 'Why writes are refused: a problem code, and what the operator can do.' }),
    bootstraps: z.array(bootstrapSchema).optional().meta({
      description:
        'The activations of policies without a decision, by the first start or by an operator, newest first.',
    }),
    warnings: z
      .array(warningSchema)
      .optional()
      .meta({ description: 'What the operator should correct, although the broker works.' }),
  })
  .meta({ id: 'Readiness' });

const openApiSchema = z.looseObject({ openapi: z.string() });

/** A call for operators, without a credential. */
const operating = {
  operation: null,
  method: 'GET',
  caller: null,
  outcomes: PUBLIC,
  query: anyQuery,
  success: 200,
} as const;

const { route } = routesFor<OperatingRoutesDeps>({ tag: 'Operating', format: 'problem', since: '1.0' });

/** Health, metrics and the description of the API. */
export const operatingRoutes = [
  route({
    ...operating,
    name: 'getHealth',
    path: '/healthz',
    summary: 'the process runs',
    answer: z.object({ status: z.literal('ok') }),
    handle: async () => ({ body: { status: 'ok' as const } }),
  }),
  route({
    ...operating,
    name: 'getReadiness',
    path: '/readyz',
    summary:
      'store, policy and keys work, and with `for=writes` writes are accepted; else 503 with the parts that do not',
    query: z.strictObject({ for: z.enum(['reads', 'writes']).default('reads') }),
    answer: readinessSchema,
    also: { 503: readinessSchema },
    handle: async ({ health }, { query }) => {
      const refusal = query.for === 'reads' ? null : await health.writeRefusal().catch(() => null);
      const parts = await Promise.all(
        Object.entries(health.checks).map(async ([part, check]) => [part, await isWorking(check)] as const),
      );
      if (query.for === 'writes') parts.push(['writes', refusal === null]);
      const warnings = health.warnings();
      const ready = parts.every(([, working]) => working);
      const bootstraps = await health.bootstraps().catch(() => null);
      return {
        status: ready ? 200 : 503,
        body: {
          status: ready ? ('ready' as const) : ('not_ready' as const),
          checks: Object.fromEntries(
            parts.map(([part, working]) => [part, working ? ('ok' as const) : ('failing' as const)]),
          ),
          ...(warnings.length === 0 ? {} : { warnings: [...warnings] }),
          ...(refusal === null ? {} : { refusal: { code: refusal.code, detail: refusal.message } }),
          ...(bootstraps !== null && {
            bootstraps: bootstraps.map(({ number, activated_ms, kind }) => ({ number, activated_ms, kind })),
          }),
        },
      };
    },
  }),
  route({
    ...operating,
    name: 'getMetrics',
    path: '/metrics',
    summary: 'counters in the Prometheus format',
    answer: z.string(),
    answerType: 'text/plain',
    handle: async ({ metrics }) => ({
      body: await metrics.text(),
      // Names the version of the format.
      headers: { 'Content-Type': metrics.contentType },
    }),
  }),
  route({
    ...operating,
    name: 'getOpenApi',
    path: '/openapi.json',
    summary: 'this API as an OpenAPI document',
    answer: openApiSchema,
    answerType: 'application/json',
    handle: async ({ openapi }) => ({
      // Sent as the text that it is.
      body: openapi() as unknown as z.infer<typeof openApiSchema>,
      headers: PUBLISHED,
    }),
  }),
];

async function isWorking(check: () => Promise<unknown>): Promise<boolean> {
  try {
    await check();
    return true;
  } catch {
    return false;
  }
}
