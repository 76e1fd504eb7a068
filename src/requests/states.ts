import { OPEN_STATES } from '../store/request-states.ts';

/**
 * A change request as the use cases see it (design section 7).
 *
 *     propose ──> pending ──> ready ──> applied
 *                    │           └────> conflicted
 *                    └──> rejected, withdrawn, expired
 */
export const REQUEST_STATES = [
  ...OPEN_STATES,
  'applied',
  'rejected',
  'withdrawn',
  'expired',
  'conflicted',
] as const;
export type RequestState = (typeof REQUEST_STATES)[number];

/** Whether a request can still change its state. The other states are final. */
export function isOpen({ state }: { state: string }): boolean {
  return (OPEN_STATES as readonly string[]).includes(state);
}
