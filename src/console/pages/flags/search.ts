import { countOf, textOf } from '../../parts/search.ts';

/** Which flags the list shows. */
export interface FlagsSearch {
  environment?: string | undefined;
  namespace?: string | undefined;
  q?: string | undefined;
  tier?: string | undefined;
  kind?: string | undefined;
  owner?: string | undefined;
  expiring?: number | undefined;
}

/** Reads the search parameters of an address. */
export function flagsSearch(search: Record<string, unknown>): FlagsSearch {
  return {
    ...textOf('environment', search.environment),
    ...textOf('namespace', search.namespace),
    ...textOf('q', search.q),
    ...textOf('tier', search.tier),
    ...textOf('kind', search.kind),
    ...textOf('owner', search.owner),
    ...countOf('expiring', search.expiring),
  };
}

/** What the page of one flag shows. */
export interface FlagSearch {
  environment?: string | undefined;
}

/** Reads the search parameters of an address. */
export function flagSearch(search: Record<string, unknown>): FlagSearch {
  return textOf('environment', search.environment);
}
