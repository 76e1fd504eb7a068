import { queryOptions } from '@tanstack/react-query';
import type { BreakglassView } from '../../../emergency/break-glass.ts';
import { api } from '../../api/api.ts';
import { REFRESH_MS } from '../../api/queries.ts';

/** The break-glass sessions that the person may see, newest first. */
export const sessions = queryOptions({
  queryKey: ['break-glass'],
  queryFn: ({ signal }) => api('listBreakGlass', { query: { limit: 50 }, signal }),
  refetchInterval: REFRESH_MS,
  // Whoever may not read them is told nothing about them.
  retry: false,
});

/** The person's own session, if one is open. */
export function openSessionOf(
  items: readonly BreakglassView[],
  person: string | null,
  nowMs: number,
): BreakglassView | null {
  return (
    items.find(
      (session) => session.person === person && session.closed_ms === null && nowMs < session.expires_ms,
    ) ?? null
  );
}
