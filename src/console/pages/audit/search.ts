import { countOf, oneOf, textOf } from '../../parts/search.ts';
import { OPERATION_WORDS, type RecordedName } from './decision-words.ts';

/** The answers of a policy. */
export const OUTCOMES = ['allow', 'hold', 'deny'] as const;

/** Which decisions the page shows. */
export interface AuditSearch {
  flag?: string;
  /** A principal's id, or a person. */
  principal?: string;
  operation?: RecordedName;
  environment?: string;
  outcome?: (typeof OUTCOMES)[number];
  request?: string;
  /** Not before, as ISO 8601 in UTC. */
  from?: string;
  /** Before. */
  to?: string;
  cursor?: string;
  /** The days that charts are of; absent: there are none. */
  days?: number;
}

/** Reads the search parameters of an address. What they cannot mean is left out. */
export function auditSearch(search: Record<string, unknown>): AuditSearch {
  return {
    ...textOf('flag', search.flag),
    ...textOf('principal', search.principal),
    ...oneOf('operation', search.operation, Object.keys(OPERATION_WORDS) as RecordedName[]),
    ...textOf('environment', search.environment),
    ...oneOf('outcome', search.outcome, OUTCOMES),
    ...textOf('request', search.request),
    ...momentOf('from', search.from),
    ...momentOf('to', search.to),
    ...textOf('cursor', search.cursor),
    ...countOf('days', search.days),
  };
}

function momentOf<Name extends string>(name: Name, value: unknown): { [N in Name]?: string } {
  return typeof value === 'string' && !Number.isNaN(Date.parse(value)) ? textOf(name, value) : {};
}
