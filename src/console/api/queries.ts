import { MutationCache, QueryCache, QueryClient, queryOptions } from '@tanstack/react-query';
import type { WhoamiView } from '../../sessions/routes.ts';
import { type Answer, api } from './api.ts';
import { Fault } from './fault.ts';

/** How often what others change is read again, also if no event has said so, in milliseconds. */
export const REFRESH_MS = 30_000;

/**
 * The cache of what was read. A refusal is not repeated: it would be the same. What one person has read is forgotten as soon as
 * the session is another person's, or over.
 */
export function createQueries(): QueryClient {
  let reader: string | null = null;
  const isOver = (error: Error) => error instanceof Fault && error.status === 401;
  /** The session is over: whoever looks at the page must learn it, whatever asked first. */
  const askWho = () => {
    queries.invalidateQueries({ queryKey: whoami.queryKey }).catch(() => undefined);
  };
  const forgetRead = () => {
    queries.removeQueries({ predicate: ({ queryKey: [name] }) => name !== 'whoami' });
  };
  const queries: QueryClient = new QueryClient({
    queryCache: new QueryCache({
      onSuccess: (data, { queryKey }) => {
        if (queryKey[0] !== 'whoami') return;
        const { id } = (data as WhoamiView).principal;
        if (reader !== null && reader !== id) forgetRead();
        reader = id;
      },
      onError: (error, { queryKey }) => {
        if (!isOver(error)) return;
        if (queryKey[0] === 'whoami') forgetRead();
        else askWho();
      },
    }),
    mutationCache: new MutationCache({ onError: (error) => isOver(error) && askWho() }),
    defaultOptions: {
      queries: {
        retry: (count, error) =>
          count < 2 && !(error instanceof Fault && error.status >= 400 && error.status < 500),
        staleTime: 5000,
        refetchOnWindowFocus: true,
        // Without a network, a call fails and says so. Nothing waits to be sent later, when its moment has passed.
        networkMode: 'always',
        refetchOnReconnect: true,
      },
      mutations: { networkMode: 'always' },
    },
  });
  return queries;
}

/** Who is signed in. */
export const whoami = queryOptions({
  queryKey: ['whoami'],
  queryFn: ({ signal }) => api('whoami', { signal }),
  staleTime: 60_000,
  // Somebody else may have signed in, in another tab.
  refetchOnWindowFocus: 'always',
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

/** How many pages of the inbox are read: the broker judges up to 200 requests for each. */
const MOST_INBOX_PAGES = 4;

/**
 * The requests that miss an approval which the person could give, oldest first. A page without any may be followed by one with
 * some: the oldest may be frozen, or other people's.
 */
export const waitingForMe = queryOptions({
  queryKey: ['requests', 'inbox', 'approve'],
  queryFn: async ({ signal }) => {
    const found: Answer<'listInbox'> = { items: [], next_cursor: null };
    for (let pages = 0; pages < MOST_INBOX_PAGES && found.items.length < 200; pages += 1) {
      const place = found.next_cursor === null ? {} : { cursor: found.next_cursor };
      const page = await api('listInbox', { query: { part: 'approve', limit: 200, ...place }, signal });
      found.items.push(...page.items);
      found.next_cursor = page.next_cursor;
      if (page.next_cursor === null) break;
    }
    return found;
  },
  refetchInterval: REFRESH_MS,
});

/** Whether one request misses an approval which the person could give: it is then the only item. */
export function waitsForMe(id: string) {
  return queryOptions({
    queryKey: ['request', id, 'waits'],
    queryFn: ({ signal }) => api('listInbox', { query: { part: 'approve', request: id }, signal }),
    refetchInterval: REFRESH_MS,
  });
}

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
