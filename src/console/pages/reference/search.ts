import { textOf } from '../../parts/search.ts';

/** What the reference is searched for. The operation that a link means is in its fragment. */
export interface ReferenceSearch {
  q?: string;
}

/** Reads the search parameters of an address. */
export function referenceSearch(search: Record<string, unknown>): ReferenceSearch {
  return textOf('q', search.q);
}
