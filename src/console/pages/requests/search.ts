import { oneOf, textOf } from '../../parts/search.ts';

/** The lists of requests. */
export const TABS = ['open', 'mine', 'closed'] as const;

/** Which requests the page shows. */
export interface RequestsSearch {
  tab?: (typeof TABS)[number] | undefined;
  environment?: string | undefined;
  flag?: string | undefined;
  cursor?: string | undefined;
}

/** Reads the search parameters of an address. What they cannot mean is left out. */
export function requestsSearch(search: Record<string, unknown>): RequestsSearch {
  return {
    ...oneOf('tab', search.tab, TABS),
    ...textOf('environment', search.environment),
    ...textOf('flag', search.flag),
    ...textOf('cursor', search.cursor),
  };
}
