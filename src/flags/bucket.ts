import MurmurHash3 from 'imurmurhash';
import type { Rollout } from './model.ts';

/**
 * How an organization finds its place in a rollout: flagd's `fractional` in its second version, seeded with the flag
 * key and the organization, so that flagd and in-process providers deal out the same buckets.
 *
 * @see flagd specification, "Fractional Operation" (flagd 0.15.0 and later)
 */

/** The number of buckets: a thousandth of a percent each. */
export const BUCKETS = 100_000;

const MAX_LENGTH = 255;
const ASCII = /^[\0-\x7f]+$/;

/**
 * The bucket of an organization, 0 to `BUCKETS` - 1, or null for what has none: a missing attribute, an empty or
 * overlong one, and any that is not ASCII, because hash libraries differ there and one tenant would land in two buckets.
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

/** The variant that a bucket gets; null past the end, which a rollout that sums to 100 does not have. */
export function variantAt(rollout: Rollout, bucket: number): string | null {
  let end = 0;
  for (const share of rollout) {
    end += weightOf(share.percent);
    if (bucket < end) return share.variant;
  }
  return null;
}
