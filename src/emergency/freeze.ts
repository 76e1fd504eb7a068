import { z } from 'zod';
import { authorize } from '../decide/authorize.ts';
import type { WriteContext } from '../decide/control.ts';
import { Refused } from '../decide/refused.ts';
import { BrokerError } from '../errors.ts';
import { environmentKeySchema, flagKeySchema, namespaceSchema, textSchema } from '../flags/names.ts';
import { epochMs } from '../moment.ts';
import { inputFreezeSchema } from '../policy/input.ts';
import { insertFreeze } from '../store/emergency.ts';
import type { FreezesTable } from '../store/schema.ts';
import { toInputFreeze } from './state.ts';

const common = { incident: textSchema(200), reason: textSchema(2000) };

/** The body of `POST /v1/freezes`. A freeze of a namespace or a flag may be limited to one environment. */
export const freezeSchema = z
  .discriminatedUnion('scope', [
    z.strictObject({ scope: z.literal('all'), ...common }),
    z.strictObject({ scope: z.literal('environment'), environment: environmentKeySchema, ...common }),
    z.strictObject({
      scope: z.literal('namespace'),
      namespace: namespaceSchema,
      environment: environmentKeySchema.optional(),
      ...common,
    }),
    z.strictObject({
      scope: z.literal('flag'),
      flag: flagKeySchema,
      environment: environmentKeySchema.optional(),
      ...common,
    }),
  ])
  .meta({ id: 'FreezeOrder' });
export type FreezeOrder = z.infer<typeof freezeSchema>;

/** A freeze in an answer. */
export const freezeViewSchema = inputFreezeSchema
  .extend({
    engaged_by: z.object({ id: z.string(), person: z.string().nullable() }),
    engaged_ms: epochMs,
    lifted_ms: epochMs.nullable(),
    lifted_by_request: z.string().nullable(),
  })
  .meta({ id: 'Freeze' });
export type FreezeView = z.infer<typeof freezeViewSchema>;

/**
 * Engages a freeze at once. After the commit of this write, every write that it covers is refused, including those in
 * flight, because each write reads the freezes in its own transaction. One authorized person is enough; lifting a freeze
 * requires a change request.
 *
 * @returns the freeze, or the refusal with its record appended
 * @throws BrokerError `invalid_request` for an environment that is not in the policy
 */
export async function engage(writing: WriteContext, order: FreezeOrder): Promise<FreezeView | Refused> {
  const { tx, call, now_ms, deps, policy } = writing;
  const scope = {
    scope: order.scope,
    environment: 'environment' in order ? (order.environment ?? null) : null,
    namespace: 'namespace' in order ? order.namespace : null,
    flag: 'flag' in order ? order.flag : null,
  };
  if (scope.environment !== null && !policy.broker.environments.has(scope.environment)) {
    throw new BrokerError('invalid_request', `Unknown environment "${scope.environment}".`, {
      errors: [{ pointer: '#/environment', detail: 'must be an environment of the active policy' }],
    });
  }
  const id = deps.newId(now_ms);
  const authorized = await authorize(writing, {
    operation: 'freeze.engage',
    environment: scope.environment,
    namespace: scope.namespace,
    emergency: { engage: { ...scope, incident: order.incident, reason: order.reason } },
    freeze: { change: 'engaged', id, ...scope },
  });
  if (authorized instanceof Refused) return authorized;
  const row: FreezesTable = {
    id,
    ...scope,
    incident: order.incident,
    reason: order.reason,
    engaged_by: JSON.stringify({ id: call.principal.id, person: call.principal.person }),
    engaged_ms: now_ms,
    lifted_ms: null,
    lifted_by_request: null,
  };
  await insertFreeze(tx, row);
  writing.afterCommit(deps.events.freezesChanged);
  return toFreezeView(row);
}

/** Converts a freeze row to its answer. */
export function toFreezeView(row: FreezesTable): FreezeView {
  return {
    ...toInputFreeze(row),
    engaged_by: JSON.parse(row.engaged_by) as FreezeView['engaged_by'],
    engaged_ms: row.engaged_ms,
    lifted_ms: row.lifted_ms,
    lifted_by_request: row.lifted_by_request,
  };
}
