import { z } from 'zod';
import { type ControlDeps, EVERY_NAMESPACE } from '../decide/control.ts';
import { routesFor } from '../decide/edge.ts';
import { readablePlaces } from '../decide/read.ts';
import { GOVERNED_READ } from '../http/route.ts';
import { epochMs } from '../moment.ts';
import { listNamespaces } from '../store/flags.ts';
import { connectedRelays } from './relays.ts';

const { route } = routesFor<{ control: ControlDeps }>({ tag: 'Operating', format: 'problem', since: '3.0' });

/** A relay in an answer. */
export const relayViewSchema = z
  .object({
    relay: z.string().meta({ description: 'The name that it has given itself.' }),
    principal: z.string().meta({ description: 'The principal whose token it reports with.' }),
    environment: z.string(),
    version: z.int().meta({ description: 'The version of the environment that it serves.' }),
    digest: z.string().meta({ description: 'Of the body that it serves.' }),
    served_ms: epochMs.meta({ description: 'Since when it serves it, by its own clock.' }),
    reported_ms: epochMs,
  })
  .meta({ id: 'Relay' });

/** The relays that are connected. */
export const relayRoutes = [
  route({
    name: 'listRelays',
    operation: 'flag.read',
    method: 'GET',
    path: '/v1/relays',
    summary:
      'list the relays that have reported in the last 45 seconds, of the environments whose flags the caller reads',
    caller: 'any',
    outcomes: { ...GOVERNED_READ, no_role: 'allowed', denied: 'allowed' },
    success: 200,
    answer: z.object({ items: z.array(relayViewSchema) }),
    handle: async ({ control }, { call }) => {
      const { read } = control.store;
      const isReadable = await readablePlaces(control, call, 'flag.read');
      const namespaces = [EVERY_NAMESPACE, ...(await listNamespaces(read))];
      const readsIn = (environment: string) =>
        namespaces.some((namespace) => isReadable({ environment, namespace }));
      const relays = await connectedRelays(read, control.clock());
      return { body: { items: relays.filter(({ environment }) => readsIn(environment)) } };
    },
  }),
];
