import { BUCKETS, weightOf } from './bucket.ts';
import type { ChangeFacts } from './change-facts.ts';
import type { Exposure, StatePair } from './exposure.ts';
import type { ServedPair, ServedValue } from './rule-pairs.ts';

/**
 * How many organizations a change of percentages moves. Widening one of two variants takes the flag from nobody; with more
 * variants, or in another order, organizations between the changed shares are moved from one variant to another.
 */

/**
 * The fact of the share that moves. It is absent if there is no rollout before or after the change, or if nobody is exposed
 * before or after it, which the direction says.
 *
 * @param pairs what one context can be served before and after; null if there are too many to compare: then all may move
 */
export function movedFacts(
  { safeVariant, before, after }: StatePair,
  { exposedBefore, exposedAfter }: Exposure,
  pairs: readonly ServedPair[] | null,
): Pick<ChangeFacts, 'moved_percent'> {
  if (!exposedBefore || !exposedAfter || !before.enabled || !after.enabled) return {};
  if (pairs === null) return { moved_percent: 100 };
  const moved = pairs
    .filter((pair) => 'rollout' in pair.before || 'rollout' in pair.after)
    .map((pair) => movedBuckets(pair, safeVariant));
  return moved.length === 0 ? {} : { moved_percent: (Math.max(...moved) * 100) / BUCKETS };
}

/** The number of buckets that were served another variant than the safe one, and are served a different one. */
function movedBuckets({ before, after }: ServedPair, safeVariant: string): number {
  const [from, to] = [endsOf(before), endsOf(after)];
  let moved = 0;
  let start = 0;
  for (let [was, is] = [0, 0]; was < from.length && is < to.length; ) {
    const [former, latter] = [from[was], to[is]];
    if (former === undefined || latter === undefined) break;
    const end = Math.min(former.end, latter.end);
    if (former.variant !== safeVariant && former.variant !== latter.variant) moved += end - start;
    start = end;
    if (former.end === end) was += 1;
    if (latter.end === end) is += 1;
  }
  return moved;
}

/** The variants in the order of their buckets, each with the bucket behind its last one. */
function endsOf(served: ServedValue): { variant: string; end: number }[] {
  if ('variant' in served) return [{ variant: served.variant, end: BUCKETS }];
  let end = 0;
  return served.rollout.map(({ variant, percent }) => {
    end += weightOf(percent);
    return { variant, end };
  });
}
