import { z } from 'zod';
import { authorize } from '../decide/authorize.ts';
import type { ControlDeps } from '../decide/control.ts';
import { routesFor } from '../decide/edge.ts';
import { askingOf, assertEnvironment } from '../decide/names.ts';
import { environmentKeySchema, namespaceSchema } from '../flags/names.ts';
import { RECORDED_READ } from '../http/route.ts';
import { CAPABILITIES } from '../operations.ts';
import { accessViewSchema, computeAccess } from './access.ts';
import { assertAccessFilter } from './access-filter.ts';

/** The dependencies of {@link accessRoutes}. */
export interface AccessRoutesDeps {
  control: ControlDeps;
  /** Writes pending usage data, so that the answer includes it. */
  flushUsage: () => Promise<void>;
}

const { route } = routesFor<AccessRoutesDeps>({ tag: 'Audit', format: 'problem', since: '1.0' });

/** Who may do what. */
export const accessRoutes = [
  route({
    name: 'getAccess',
    operation: 'access.read',
    method: 'GET',
    path: '/v1/access',
    summary: 'who may do what, by which binding, and when it was last used',
    caller: 'any',
    outcomes: RECORDED_READ,
    query: z.strictObject({
      principal: z.string().max(512).optional().meta({ description: "A principal's id, or a person." }),
      capability: z.enum(CAPABILITIES).optional(),
      environment: environmentKeySchema.optional(),
      namespace: namespaceSchema.optional(),
      unused: z
        .boolean()
        .optional()
        .meta({ description: '`true`: only grants and bindings that were not used within `unused_days`.' }),
      unused_days: z.int().min(1).max(3650).default(90).meta({
        description: 'The number of days without a use after which a grant counts as unused.',
      }),
    }),
    success: 200,
    answer: accessViewSchema,
    errors: ['not_found', 'not_supported'],
    handle: async ({ control, flushUsage }, { call, query: { unused_days, ...filter }, write }) => {
      const { environment = null } = filter;
      const asking = await askingOf(control, call);
      assertEnvironment(asking, environment, { operation: 'access.read' });
      await write((writing) => authorize(writing, { operation: 'access.read', environment }));
      await flushUsage();
      await assertAccessFilter(asking, filter);
      return { body: await computeAccess(control, { filter, unused_days }) };
    },
  }),
];
