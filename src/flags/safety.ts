import type { ChangeFacts } from './change-facts.ts';
import type { Exposure } from './exposure.ts';

/**
 * Whether a change makes a flag safer: every possible context, now and at every later moment, is served the value of
 * before or the safe variant. An order of exposure among the other variants is policy data, so the policy and the
 * guardrails need to know which variant may take the place of which.
 */

/** More swaps than this are not listed: such a change is not shown to be safe by any order. */
const MAX_SWAPS = 50;

/**
 * The facts of safety. `swaps` is empty unless swaps alone keep the change from being safe, and there are at most 50.
 */
export function safetyFacts({
  grew,
  swapped,
  swaps,
}: Exposure): Required<Pick<ChangeFacts, 'safe' | 'swaps'>> {
  return {
    safe: !grew && !swapped,
    swaps: grew || swaps.length > MAX_SWAPS ? [] : swaps,
  };
}
