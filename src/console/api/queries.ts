import { QueryCache, QueryClient, queryOptions } from '@tanstack/react-query';
import { api } from './api.ts';
import { Fault } from './fault.ts';

/** How often what others change is read again, also if no event has said so, in milliseconds. */
export const REFRESH_MS = 30_000;

/** The cache of what was read. A refusal is not repeated: it would be the same. */
export function createQueries(): QueryClient {
  const queries: QueryClient = new QueryClient({
    queryCache: new QueryCache({
      onError: (error, { queryKey }) => {
        // The session is over: whoever looks at the page must learn it, whatever asked first.
        if (error instanceof Fault && error.status === 401 && queryKey[0] !== 'whoami') {
          queries.invalidateQueries({ queryKey: ['whoami'] }).catch(() => undefined);
        }
      },
    }),
    defaultOptions: {
      queries: {
        retry: (count, error) =>
          count < 2 && !(error instanceof Fault && error.status >= 400 && error.status < 500),
        staleTime: 5000,
        refetchOnWindowFocus: true,
      },
    },
  });
  return queries;
}

/** Who is signed in. */
export const whoami = queryOptions({
  queryKey: ['whoami'],
  queryFn: ({ signal }) => api('whoami', { signal }),
  staleTime: 60_000,
  retry: (count, error) => count < 3 && !(error instanceof Fault && error.status === 401),
});

/** The active freezes that the person may see. */
export const activeFreezes = queryOptions({
  queryKey: ['freezes', 'active'],
  queryFn: ({ signal }) => api('listFreezes', { query: { state: 'active' }, signal }),
  refetchInterval: REFRESH_MS,
  // Whoever may not read them is told nothing about them.
  retry: false,
});

/** The requests that miss an approval which the person could give, oldest first. */
export const waitingForMe = queryOptions({
  queryKey: ['requests', 'inbox', 'approve'],
  queryFn: ({ signal }) => api('listInbox', { query: { part: 'approve', limit: 200 }, signal }),
  refetchInterval: REFRESH_MS,
});

/** The person's own open requests. */
export const ownRequests = queryOptions({
  queryKey: ['requests', 'inbox', 'own'],
  queryFn: ({ signal }) => api('listInbox', { query: { part: 'own', limit: 200 }, signal }),
  refetchInterval: REFRESH_MS,
});

/** The environments in which the person may read flags, in the order of the policy. */
export const environments = queryOptions({
  queryKey: ['environments'],
  queryFn: async ({ signal }) => (await api('listEnvironments', { signal })).items.map(({ key }) => key),
  staleTime: 300_000,
});
