import { z } from 'zod';
import type { Snapshot, Snapshots } from '../data/snapshot.ts';
import type { Call, ControlDeps } from '../decide/control.ts';
import { pageOf, routesFor } from '../decide/edge.ts';
import { askingOf, assertEnvironment } from '../decide/names.ts';
import { authorizeRead, readablePlaces, recordSensitive } from '../decide/read.ts';
import { BrokerError } from '../errors.ts';
import { environmentKeySchema, organizationSchema } from '../flags/names.ts';
import { GOVERNED_READ } from '../http/route.ts';
import { DAY_MS, momentSchema, toEpochMs } from '../moment.ts';
import { changesFor } from './changes.ts';
import { listNamed, listSeen } from './flags.ts';
import { namedOrganizationSchema, organizationChangeSchema, organizationFlagSchema } from './view.ts';

/** The dependencies of {@link organizationRoutes}. */
export interface OrganizationRoutesDeps {
  control: ControlDeps;
  /** All flags of each environment, as applications are served. */
  snapshots: Pick<Snapshots, 'current'>;
}

/** How far back changes are looked for. */
const DEFAULT_DAYS = 14;

const { list } = routesFor<OrganizationRoutesDeps>({ tag: 'Flags', format: 'problem', since: '1.0' });
const params = z.object({ organization: organizationSchema });
const environment = environmentKeySchema;

/** Flags by organization. */
export const organizationRoutes = [
  list({
    name: 'listOrganizations',
    operation: 'flag.read',
    method: 'GET',
    path: '/v1/organizations',
    summary: 'list the organizations that flags of an environment name, by name',
    caller: 'any',
    outcomes: GOVERNED_READ,
    query: z.strictObject({
      environment,
      q: z.string().max(200).default('').meta({ description: 'Only names that contain it.' }),
    }),
    success: 200,
    answer: namedOrganizationSchema,
    errors: ['not_found'],
    handle: async (deps, { call, query, page: { limit, place } }) => {
      const { snapshot, isReadable } = await readable(deps, call, query.environment);
      const rows = listNamed(snapshot, {
        isReadable,
        text: query.q,
        after: place === null ? '' : String(place),
        limit: limit + 1,
      });
      return pageOf(limit, { rows, view: (organization) => ({ organization }), next: (name) => name });
    },
  }),
  list({
    name: 'listOrganizationFlags',
    operation: 'flag.read',
    method: 'GET',
    path: '/v1/organizations/{organization}/flags',
    summary: 'list the flags of an environment as an organization sees them, and why, by key',
    caller: 'any',
    outcomes: GOVERNED_READ,
    params,
    query: z.strictObject({
      environment,
      q: z.string().max(200).default('').meta({ description: 'Only flags whose key contains it.' }),
    }),
    success: 200,
    answer: organizationFlagSchema,
    handle: async (deps, { call, params: { organization }, query, page: { limit, place } }) => {
      const { control } = deps;
      const { snapshot, isReadable } = await readable(deps, call, query.environment);
      const after = place === null ? '' : String(place);
      const now_ms = control.clock();
      const which = { isReadable, text: query.q, after, limit: limit + 1, now_ms };
      const rows = listSeen(snapshot, organization, which);
      const page = pageOf(limit, { rows, view: (row) => row, next: ({ key }) => key });
      const intent = { operation: 'flag.read', environment: query.environment } as const;
      await recordSensitive(control, call, intent, page.items);
      return page;
    },
  }),
  list({
    name: 'listOrganizationChanges',
    operation: 'flag.read',
    method: 'GET',
    path: '/v1/organizations/{organization}/changes',
    summary: 'list what has changed for an organization in an environment, newest first',
    caller: 'any',
    outcomes: GOVERNED_READ,
    params,
    query: z.strictObject({
      environment,
      since: momentSchema.optional().meta({ description: `Not before. Default: ${DEFAULT_DAYS} days ago.` }),
    }),
    success: 200,
    answer: organizationChangeSchema,
    handle: async (deps, { call, params: { organization }, query, page: { limit, place } }) => {
      const { control } = deps;
      const { isReadable } = await readable(deps, call, query.environment);
      const { since } = query;
      return changesFor(control, {
        organization,
        environment: query.environment,
        since_ms: since === undefined ? control.clock() - DEFAULT_DAYS * DAY_MS : toEpochMs(since),
        place: place === null ? null : String(place),
        limit,
        isReadable,
      });
    },
  }),
];

/** The flags of an environment, and of which namespaces the caller may read them. */
async function readable(
  { control, snapshots }: OrganizationRoutesDeps,
  call: Call,
  key: string,
): Promise<{ snapshot: Snapshot; isReadable: (namespace: string) => boolean }> {
  assertEnvironment(await askingOf(control, call), key);
  await authorizeRead(control, call, { operation: 'flag.read', environment: key });
  const may = await readablePlaces(control, call, 'flag.read');
  const snapshot = snapshots.current(key);
  if (snapshot === undefined)
    throw new BrokerError('store_unreachable', 'The flags of the environment are not loaded yet. Try again.');
  return { snapshot, isReadable: (namespace) => may({ environment: key, namespace }) };
}
