import type { FlagDefinition } from '../../../flags/model.ts';
import { countOf, oneOf, textOf } from '../../parts/search.ts';

type Tier = FlagDefinition['tier'];
type Kind = FlagDefinition['kind'];

/** The tiers and kinds, as filters offer them. */
export const TIERS = ['informational', 'operational', 'sensitive', 'high-risk'] as const satisfies Tier[];
export const KINDS = ['release', 'entitlement', 'operational', 'experiment'] as const satisfies Kind[];

/** Which flags the list shows. */
export interface FlagsSearch {
  environment?: string | undefined;
  namespace?: string | undefined;
  q?: string | undefined;
  tier?: Tier | undefined;
  kind?: Kind | undefined;
  owner?: string | undefined;
  /** Within how many days they expire. */
  expiring?: number | undefined;
  /** Whether they are switched on in the environment. */
  enabled?: boolean | undefined;
  retired?: boolean | undefined;
}

/** Reads the search parameters of an address. */
export function flagsSearch(search: Record<string, unknown>): FlagsSearch {
  return {
    ...textOf('environment', search.environment),
    ...textOf('namespace', search.namespace),
    ...textOf('q', search.q),
    ...oneOf('tier', search.tier, TIERS),
    ...oneOf('kind', search.kind, KINDS),
    ...textOf('owner', search.owner),
    ...countOf('expiring', search.expiring),
    ...oneOf('enabled', search.enabled, [true, false]),
    ...oneOf('retired', search.retired, [true, false]),
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
