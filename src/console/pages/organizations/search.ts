import { countOf, textOf } from '../../parts/search.ts';

/** Which organizations the list offers. */
export interface OrganizationsSearch {
  environment?: string;
  q?: string;
}

/** Reads the search parameters of an address. */
export function organizationsSearch(search: Record<string, unknown>): OrganizationsSearch {
  return { ...textOf('environment', search.environment), ...textOf('q', search.q) };
}

/** What the page of one organization shows. */
export interface OrganizationSearch {
  environment?: string;
  /** Only flags whose key contains it. */
  q?: string;
  /** How many days of changes. */
  days?: number;
}

/** Reads the search parameters of an address. */
export function organizationSearch(search: Record<string, unknown>): OrganizationSearch {
  return {
    ...textOf('environment', search.environment),
    ...textOf('q', search.q),
    ...countOf('days', search.days),
  };
}
