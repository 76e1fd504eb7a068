import { z } from 'zod';
import { authorize } from '../decide/authorize.ts';
import type { WriteContext } from '../decide/control.ts';
import { assertEnvironment } from '../decide/names.ts';
import { notDone } from '../decide/refusals.ts';
import { Refused } from '../decide/refused.ts';
import { environmentKeySchema, flagKeySchema, namespaceSchema, textSchema } from '../flags/names.ts';
import { epochMs } from '../moment.ts';
import { inputFreezeSchema } from '../policy/input.ts';
import { insertFreeze } from '../store/emergency.ts';
import type { FreezesTable } from '../store/schema.ts';
import { toInputFreeze } from './state.ts';
import { faultOfScope } from './unknown-scope.ts';

const common = { incident: textSchema(200), reason: textSchema(2000) };
const yet_unknown = z.boolean().default(false).meta({
  description: 'Freezes the name although nothing has it yet. Otherwise, unknown names are refused.',
});

/** The body of `POST /v1/freezes`. A freeze of a namespace or a flag may be limited to one environment. */
export const freezeSchema = z
  .discriminatedUnion('scope', [
    z.strictObject({ scope: z.literal('all'), ...common }),
    z.strictObject({ scope: z.literal('environment'), environment: environmentKeySchema, ...common }),
    z.strictObject({
      scope: z.literal('namespace'),
      namespace: namespaceSchema,
      environment: environmentKeySchema.optional(),
      yet_unknown,
      ...common,
    }),
    z.strictObject({
      scope: z.literal('flag'),
      flag: flagKeySchema,
      environment: environmentKeySchema.optional(),
      yet_unknown,
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
 * @returns the freeze, or the refusal with its record appended: `not_found` for a name that does not exist, unless
 *   the order says that it is yet unknown
 * @throws BrokerError `not_found` for an environment that is not in the policy
 */
export async function engage(writing: WriteContext, order: FreezeOrder): Promise<FreezeView | Refused> {
  const { tx, call, now_ms, deps, policy } = writing;
  const scope = {
    scope: order.scope,
    environment: 'environment' in order ? (order.environment ?? null) : null,
    namespace: 'namespace' in order ? order.namespace : null,
    flag: 'flag' in order ? order.flag : null,
  };
  assertEnvironment({ policy, principal: call.principal, now_ms }, scope.environment);
  const isYetUnknown = 'yet_unknown' in order && order.yet_unknown;
  const fault = await faultOfScope(writing, isYetUnknown ? { ...scope, namespace: null, flag: null } : scope);
  const id = deps.newId(now_ms);
  const authorized = await authorize(writing, {
    operation: 'freeze.engage',
    environment: scope.environment,
    namespace: scope.namespace,
    emergency: { engage: { ...scope, incident: order.incident, reason: order.reason } },
    ...(fault === null ? { freeze: { change: 'engaged', id, ...scope } } : { note: notDone(fault) }),
  });
  if (authorized instanceof Refused) return authorized;
  // Disclosed only to callers who may freeze.
  if (fault !== null) return Refused.because(fault, authorized.decision_id);
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
