import { textOf } from '../../parts/search.ts';

/** What a proposal begins with. */
export interface ProposeSearch {
  flag?: string | undefined;
  environment?: string | undefined;
}

/** Reads the search parameters of an address. */
export function proposeSearch(search: Record<string, unknown>): ProposeSearch {
  return { ...textOf('flag', search.flag), ...textOf('environment', search.environment) };
}
