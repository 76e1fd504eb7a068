import MurmurHash3 from 'imurmurhash';
import type { Rollout } from './model.ts';

/**
 * The place of an organization in a rollout: flagd's `fractional` in its second version, seeded with the flag key and the
 * organization, so that flagd and in-process providers assign the same buckets.
 *
 * @see flagd specification, "Fractional Operation" (flagd 0.15.0 and later)
 */

/** The number of buckets: a thousandth of a percent each. */
export const BUCKETS = 100_000;

const MAX_LENGTH = 255;
const ASCII = /^[\0-\x7f]+$/;

/**
 * The bucket of an organization, 0 to `BUCKETS` - 1. Null for an attribute that is missing, empty, too long or not ASCII:
 * hash libraries differ on other characters, and one tenant would get two buckets.
 */
export function bucketOf(flagKey: string, organization: unknown): number | null {
  if (typeof organization !== 'string' || organization.length > MAX_LENGTH || !ASCII.test(organization))
    return null;
  // hash < 2^32 and BUCKETS < 2^17: the product stays below 2^49, so the floating-point arithmetic is exact.
  return Math.floor((MurmurHash3(flagKey + organization).result() * BUCKETS) / 2 ** 32);
}

/** A percentage as a whole number of buckets. Percentages have at most three decimals, so nothing is lost. */
export function weightOf(percent: number): number {
  return Math.round(percent * 1000);
}

/** The variant of a bucket; null past the end, which cannot happen if the rollout sums to 100. */
export function variantAt(rollout: Rollout, bucket: number): string | null {
  let end = 0;
  for (const share of rollout) {
    end += weightOf(share.percent);
    if (bucket < end) return share.variant;
  }
  return null;
}

/**
 * The shares in the order of former ones, if both are of the same two variants. Each organization whose share has grown then
 * keeps it, in whatever order somebody writes the percentages.
 */
export function inFormerOrder(rollout: Rollout, former: Rollout | null): Rollout {
  const [first, second, ...more] = rollout;
  if (first === undefined || second === undefined || more.length > 0 || former?.length !== 2) return rollout;
  const isTurned = former[0]?.variant === second.variant && former[1]?.variant === first.variant;
  return isTurned ? [second, first] : rollout;
}
