import { oneOf, textOf } from '../../parts/search.ts';

/** What somebody does in an incident, one at a time. */
export const TASKS = ['freeze', 'off', 'changes', 'break-glass', 'revoke'] as const;
export type Task = (typeof TASKS)[number];

/** What the page of incidents shows. It stands in the address, so that a sign-in returns to it. */
export interface IncidentSearch {
  task?: Task | undefined;
  environment?: string | undefined;
  /** What the flags are searched for. */
  q?: string | undefined;
  /** The freeze or the revocation whose lift is being proposed. */
  lift?: string | undefined;
}

/** Reads the search parameters of an address. */
export function incidentSearch(search: Record<string, unknown>): IncidentSearch {
  return {
    ...oneOf('task', search.task, TASKS),
    ...textOf('environment', search.environment),
    ...textOf('q', search.q),
    ...textOf('lift', search.lift),
  };
}
