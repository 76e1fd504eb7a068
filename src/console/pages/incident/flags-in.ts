import { queryOptions } from '@tanstack/react-query';
import { api } from '../../api/api.ts';

interface Filter {
  /** A part of the key, the owner or the purpose. */
  q?: string;
  enabled?: boolean;
  limit: number;
}

/** The first flags of an environment that fit, of those that the person may read. */
export function flagsIn(environment: string, filter: Filter) {
  const query = { environment, retired: false, ...filter };
  return queryOptions({
    queryKey: ['flags', 'incident', query] as const,
    queryFn: ({ signal }) => api('listFlags', { query, signal }),
    enabled: environment !== '',
    // What was found stays while more is typed; flags of another environment do not.
    placeholderData: (found, before) => (before?.queryKey[2].environment === environment ? found : undefined),
  });
}
