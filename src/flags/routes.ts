import { z } from 'zod';
import type { Call, ControlDeps } from '../decide/control.ts';
import { pageOf, routesFor } from '../decide/edge.ts';
import { askingOf, assertEnvironment, namedFlag, namedNamespace } from '../decide/names.ts';
import { authorizeRead, readablePlaces, recordSensitive } from '../decide/read.ts';
import { assertSeen } from '../decide/seen.ts';
import { GOVERNED_READ } from '../http/route.ts';
import { epochMs } from '../moment.ts';
import {
  type FlagRow,
  findDefinition,
  listFlags,
  listNamespaces,
  listStates,
  listStateVersions,
} from '../store/flags.ts';
import type { FlagsTable } from '../store/schema.ts';
import { unknownName } from '../unknown-name.ts';
import { fits, type InventoryFilter, inventoryShape, isFiltered } from './inventory.ts';
import { type FlagDefinition, type FlagState, flagDefinitionSchema, flagStateSchema } from './model.ts';
import { environmentKeySchema, flagKeySchema, namespaceSchema } from './names.ts';

/** The dependencies of {@link flagRoutes}. */
export interface FlagRoutesDeps {
  control: ControlDeps;
}

const keyParams = z.object({ key: flagKeySchema });

const version = z.int().min(1);
const definitionVersion = version.meta({ description: 'The version of the definition.' });

/** A flag with its state in one environment. */
const flagInEnvironmentSchema = flagDefinitionSchema
  .extend({
    definition_version: definitionVersion,
    state: flagStateSchema
      .nullable()
      .meta({ description: 'Null if it never had a state in the environment.' }),
    version: z.int().min(0).meta({ description: 'The version of the state; 0 if there is none.' }),
  })
  .meta({ id: 'FlagInEnvironment' });

/** A flag with its states. */
const flagSchema = flagDefinitionSchema
  .extend({
    definition_version: definitionVersion,
    states: z
      .record(z.string(), flagStateSchema.extend({ version }))
      .meta({ description: 'Its states, by environment.' }),
  })
  .meta({ id: 'Flag' });

/** A state that a flag has or had. */
const flagVersionSchema = z
  .object({
    version,
    at_ms: epochMs,
    request_id: z.string(),
    decision_id: z.string(),
    state: flagStateSchema,
  })
  .meta({ id: 'FlagVersion' });

const { route, list } = routesFor<FlagRoutesDeps>({ tag: 'Flags', format: 'problem', since: '1.0' });

const environmentSchema = z
  .object({
    key: z.string(),
    kind: z.string().meta({ description: 'What it is, such as `production`: rules of tiers are by kind.' }),
  })
  .meta({ id: 'Environment' });

/** Flags for people and pipelines. Applications read flags through OFREP instead. */
export const flagRoutes = [
  route({
    name: 'listEnvironments',
    operation: 'flag.read',
    method: 'GET',
    path: '/v1/environments',
    summary: 'list the environments in which you may read flags, in the order of the policy',
    caller: 'any',
    outcomes: GOVERNED_READ,
    success: 200,
    answer: z.object({ items: z.array(environmentSchema) }),
    handle: async ({ control }, { call }) => {
      await authorizeRead(control, call, { operation: 'flag.read' });
      const { broker } = await control.policies.active(control.store.read);
      const isReadable = await readablePlaces(control, call, 'flag.read', { counts: false });
      const items = [...broker.environments]
        .filter(([environment]) => isReadable({ environment, namespace: null }))
        .map(([key, { kind }]) => ({ key, kind }));
      return { body: { items } };
    },
  }),
  list({
    name: 'listFlags',
    operation: 'flag.read',
    method: 'GET',
    path: '/v1/flags',
    summary: 'list flags with their state in one environment, by key',
    caller: 'any',
    outcomes: GOVERNED_READ,
    query: z.strictObject({
      environment: environmentKeySchema,
      namespace: namespaceSchema.optional(),
      ...inventoryShape,
    }),
    success: 200,
    answer: flagInEnvironmentSchema,
    errors: ['not_found'],
    handle: async (
      { control },
      { call, query: { environment, namespace, ...filter }, page: { limit, place } },
    ) => {
      const asking = await askingOf(control, call);
      assertEnvironment(asking, environment);
      if (namespace !== undefined) {
        const about = { namespace, environment, pointer: '#/namespace' };
        await assertSeen(control, call, await namedNamespace(asking.db, asking.policy, about));
      }
      const intent = { operation: 'flag.read', environment, namespace: namespace ?? null } as const;
      await authorizeRead(control, call, intent);
      const { read } = control.store;
      const isReadable = await readablePlaces(control, call, 'flag.read');
      const all = namespace === undefined ? await listNamespaces(read) : [namespace];
      const namespaces = all.filter((each) => isReadable({ environment, namespace: each }));
      const page = await inventoryPage(
        (after, count) => listFlags(read, environment, { namespaces, after, limit: count }),
        { filter, after: place === null ? null : String(place), limit },
      );
      await recordSensitive(control, call, intent, page.items);
      return page;
    },
  }),
  route({
    name: 'getFlag',
    operation: 'flag.read',
    method: 'GET',
    path: '/v1/flags/{key}',
    summary: 'one flag, with its state in every environment',
    caller: 'any',
    outcomes: GOVERNED_READ,
    params: keyParams,
    query: z.strictObject({
      environment: environmentKeySchema
        .optional()
        .meta({ description: 'Only the state in this environment; default: all.' }),
    }),
    success: 200,
    answer: flagSchema,
    handle: async ({ control }, { call, params, query: { environment } }) => {
      assertEnvironment(await askingOf(control, call), environment);
      const definition = await findReadable({ control, call }, params.key, null);
      const isReadable = await readablePlaces(control, call, 'flag.read');
      const all = await listStates(control.store.read, definition.key);
      const asked = all.filter((row) => environment === undefined || row.environment === environment);
      const states = asked.filter((row) =>
        isReadable({ environment: row.environment, namespace: definition.namespace }),
      );
      const { version, namespace } = definition;
      const shown = JSON.parse(definition.definition) as FlagDefinition;
      const intent = { operation: 'flag.read', namespace } as const;
      await recordSensitive(control, call, intent, [{ ...shown, version }]);
      return {
        body: {
          ...shown,
          definition_version: version,
          states: Object.fromEntries(
            states.map((row) => [
              row.environment,
              { ...(JSON.parse(row.state) as FlagState), version: row.version },
            ]),
          ),
        },
      };
    },
  }),
  list({
    name: 'listFlagVersions',
    operation: 'flag.read',
    method: 'GET',
    path: '/v1/flags/{key}/versions',
    summary: 'the history of a flag in one environment, newest first',
    caller: 'any',
    outcomes: GOVERNED_READ,
    params: keyParams,
    query: z.strictObject({ environment: environmentKeySchema }),
    success: 200,
    answer: flagVersionSchema,
    handle: async ({ control }, { call, params, query: { environment }, page: { limit, place } }) => {
      assertEnvironment(await askingOf(control, call), environment);
      const { key, namespace, definition } = await findReadable({ control, call }, params.key, environment);
      const rows = await listStateVersions(control.store.read, {
        flag: key,
        environment,
        beforeVersion: place === null ? null : Number(place),
        limit: limit + 1,
      });
      const intent = { operation: 'flag.read', environment, namespace } as const;
      const shown = { ...(JSON.parse(definition) as FlagDefinition), version: rows[0]?.version ?? 0 };
      await recordSensitive(control, call, intent, [shown]);
      return pageOf(limit, {
        rows,
        view: ({ version, state, request_id, decision_id, at_ms }) => ({
          version,
          at_ms,
          request_id,
          decision_id,
          state: JSON.parse(state) as FlagState,
        }),
        next: (row) => row.version,
      });
    },
  }),
];

/** How many flags a page of the inventory looks at, and how many at once. */
const MAX_LOOKS = 4000;
const LOOK = 500;

/** One page of the flags that fit, by key; it is short, with a next one, if few of many do. */
async function inventoryPage(
  read: (after: string | null, count: number) => Promise<FlagRow[]>,
  { filter, after, limit }: { filter: InventoryFilter; after: string | null; limit: number },
): Promise<{ items: z.infer<typeof flagInEnvironmentSchema>[]; next: string | null }> {
  const items: z.infer<typeof flagInEnvironmentSchema>[] = [];
  let last = after;
  const count = isFiltered(filter) ? LOOK : limit + 1;
  for (let looks = 0; looks < MAX_LOOKS; looks += count) {
    const rows = await read(last, count);
    for (const row of rows) {
      const item = toItem(row);
      if (!fits({ definition: item, state: item.state }, filter)) continue;
      if (items.length === limit) return { items, next: items.at(-1)?.key ?? null };
      items.push(item);
    }
    if (rows.length < count) return { items, next: null };
    last = rows.at(-1)?.key ?? last;
  }
  return { items, next: last };
}

function toItem(row: FlagRow): z.infer<typeof flagInEnvironmentSchema> {
  return {
    ...(JSON.parse(row.definition) as FlagDefinition),
    definition_version: row.version,
    state: row.state === null ? null : (JSON.parse(row.state) as FlagState),
    version: row.state_version ?? 0,
  };
}

/**
 * The definition of a flag that the caller may read.
 *
 * @throws BrokerError `not_found`, `policy_denied`
 */
async function findReadable(
  { control, call }: FlagRoutesDeps & { call: Call },
  key: string,
  environment: string | null,
): Promise<FlagsTable> {
  const named = await namedFlag(control.store.read, key, { environment });
  await assertSeen(control, call, named);
  const found = await findDefinition(control.store.read, key);
  if (found === undefined) throw unknownName(named.unknown);
  return found;
}
