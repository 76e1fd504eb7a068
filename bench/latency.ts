/** How long answers took: for each number of microseconds, in order, how many took them. */
export type Latencies = readonly (readonly [us: number, count: number])[];

/** Counts what was measured one by one. */
export function countLatencies(tookMs: readonly number[]): Latencies {
  return mergeLatencies([tookMs.map((ms) => [Math.round(ms * 1000), 1] as const)]);
}

/** Several runs as one: a rare answer counts whichever run it fell into. */
export function mergeLatencies(runs: readonly Latencies[]): Latencies {
  const counts = new Map<number, number>();
  for (const run of runs) {
    for (const [us, count] of run) counts.set(us, (counts.get(us) ?? 0) + count);
  }
  return [...counts].toSorted(([one], [other]) => one - other);
}

/** The time in milliseconds that this share of the answers was ready in. */
export function quantileMs(latencies: Latencies, share: number): number {
  const total = latencies.reduce((sum, [, count]) => sum + count, 0);
  let seen = 0;
  for (const [us, count] of latencies) {
    seen += count;
    if (seen >= total * share) return us / 1000;
  }
  return Number.NaN;
}
