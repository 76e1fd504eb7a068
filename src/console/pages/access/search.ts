import type { Capability } from '../../../operations.ts';
import { countOf, oneOf, textOf } from '../../parts/search.ts';

/** What somebody may be able to do, from the least to the most. */
export const CAPABILITIES = [
  'read',
  'propose',
  'approve',
  'override',
  'administer',
] as const satisfies readonly Capability[];

/** The kinds of principals. */
export const KINDS = ['person', 'workload', 'agent'] as const;

/** Which grants the page shows. */
export interface AccessSearch {
  principal?: string | undefined;
  kind?: (typeof KINDS)[number] | undefined;
  capability?: Capability | undefined;
  environment?: string | undefined;
  namespace?: string | undefined;
  /** The binding that grants it, such as a group. */
  by?: string | undefined;
  /** Only what was not used for this many days. */
  unused?: number | undefined;
  view?: 'bindings' | undefined;
}

/** Reads the search parameters of an address. */
export function accessSearch(search: Record<string, unknown>): AccessSearch {
  return {
    ...textOf('principal', search.principal),
    ...oneOf('kind', search.kind, KINDS),
    ...oneOf('capability', search.capability, CAPABILITIES),
    ...textOf('environment', search.environment),
    ...textOf('namespace', search.namespace),
    ...textOf('by', search.by),
    ...countOf('unused', search.unused),
    ...oneOf('view', search.view, ['bindings'] as const),
  };
}
