import { queryOptions } from '@tanstack/react-query';
import { api } from '../../api/api.ts';

/** How many flags are looked through. Beyond, a flag is found by its whole key. */
const MOST_PAGES = 10;

/** The flags of an environment that the person may read, with whether there are more than were read. */
export function flagsIn(environment: string) {
  return queryOptions({
    queryKey: ['flags', 'incident', environment],
    queryFn: async ({ signal }) => {
      const items: Awaited<ReturnType<typeof api<'listFlags'>>>['items'] = [];
      let cursor: string | null = null;
      for (let page = 0; page < MOST_PAGES; page += 1) {
        const query: { environment: string; limit: number; cursor?: string } = {
          environment,
          limit: 200,
          ...(cursor === null ? {} : { cursor }),
        };
        const answer = await api('listFlags', { query, signal });
        items.push(...answer.items);
        cursor = answer.next_cursor;
        if (cursor === null) break;
      }
      return { items, hasMore: cursor !== null };
    },
    enabled: environment !== '',
    staleTime: 15_000,
  });
}
