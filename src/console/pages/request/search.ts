import { oneOf } from '../../parts/search.ts';
import { ACTS, type Act } from './acts.ts';

/** The ways to look at the same change. */
export const VIEWS = ['sentence', 'table', 'json'] as const;

/** How the page shows a request. */
export interface RequestSearch {
  view?: (typeof VIEWS)[number] | undefined;
  /** The dialog that is open. */
  act?: Act | undefined;
  /** The digest of the content for which it was opened: a sign-in in between must not pass off other content as read. */
  read?: string | undefined;
}

/** Reads the search parameters of an address. */
export function requestSearch(search: Record<string, unknown>): RequestSearch {
  const { read } = search;
  return {
    ...oneOf('view', search.view, VIEWS),
    ...oneOf('act', search.act, ACTS),
    ...(typeof read === 'string' && /^sha256:[0-9a-f]{64}$/.test(read) ? { read } : {}),
  };
}
