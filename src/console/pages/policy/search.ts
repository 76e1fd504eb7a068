import { oneOf, textOf } from '../../parts/search.ts';

/** The views of the page. */
export const TABS = ['rules', 'windows', 'access', 'history', 'compare', 'explain'] as const;

/** What the page shows. */
export interface PolicySearch {
  tab?: (typeof TABS)[number];
  stage?: string;
  /** The policy hashes to compare. */
  before?: string;
  after?: string;
  /** What is explained. */
  decision?: string;
  request?: string;
}

/** Reads the search parameters of an address. */
export function policySearch(search: Record<string, unknown>): PolicySearch {
  return {
    ...oneOf('tab', search.tab, TABS),
    ...textOf('stage', search.stage),
    ...textOf('before', search.before),
    ...textOf('after', search.after),
    ...textOf('decision', search.decision),
    ...textOf('request', search.request),
  };
}
