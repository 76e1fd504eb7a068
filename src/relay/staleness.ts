import type { Snapshot, SnapshotFlag } from '../data/snapshot.ts';
import type { FLAG_KINDS } from '../flags/model.ts';

/** What is served of a flag when the snapshot is too old: its last state, or its safe variant to everybody. */
export type StaleService = 'last' | 'safe';

/** What is served when a relay has heard nothing for long. */
export interface StalenessPolicy {
  /** For how long after a pointer has expired everything is served as it was, in milliseconds. */
  maxMs: number;
  kinds: Readonly<Record<(typeof FLAG_KINDS)[number], StaleService>>;
  /** By key. It goes before the kind. */
  flags: Readonly<Record<string, StaleService>>;
}

/**
 * A snapshot as it is served once it is too old. A flag with its safe variant is one that is switched off, so that every way to
 * read it, with its tags and documents, says the same.
 */
export function whenStale(snapshot: Snapshot, policy: StalenessPolicy): Snapshot {
  const flags = new Map<string, SnapshotFlag>();
  for (const [key, flag] of snapshot.flags) {
    const service = Object.hasOwn(policy.flags, key) ? policy.flags[key] : policy.kinds[flag.definition.kind];
    flags.set(key, service === 'safe' ? { ...flag, state: { ...flag.state, enabled: false } } : flag);
  }
  return { ...snapshot, flags };
}
