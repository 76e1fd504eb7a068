import type { ShownFault } from './fault.ts';
import type { FaultPart } from './fault-book.ts';
import type { EpochChange } from './held-snapshot.ts';

/** What `/status` says of one environment. Anybody who reaches the relay may read it, so no flag is named. */
export interface EnvironmentStatus {
  /** `waiting`: there is nothing to serve yet, or it is not known to whom. `stale`: what is served may not be the newest any more. */
  state: 'waiting' | 'fresh' | 'stale';
  version: number | null;
  digest: string | null;
  epoch: number | null;
  /** When the pointer was signed, by the clock of the broker. */
  signed_ms: number | null;
  age_ms: number | null;
  /** Since when the pointer has expired. */
  stale_since_ms: number | null;
  /** Whether flags are served by the staleness policy. */
  staleness_applied: boolean;
  adopted_ms: number | null;
  /** The list of who may read; null before there is one. */
  readers: { sequence: number; signed_ms: number; expires_ms: number } | null;
  /** The last time that the log of another epoch was followed, since the start. */
  epoch_change: EpochChange | null;
  connection: {
    state: 'streaming' | 'polling' | 'unreachable';
    since_ms: number;
    reached_ms: number | null;
  };
  reports: { accepted_ms: number | null; waiting: number } | null;
  /** What is wrong now, and the last that was. */
  faults: (ShownFault & { part: FaultPart })[];
  last_fault: (ShownFault & { part: FaultPart }) | null;
}

/** What `/status` says. */
export interface RelayStatus {
  relay: string;
  version: string;
  /** `ready` when each environment is served. */
  state: 'ready' | 'waiting';
  started_ms: number;
  source: string;
  /** Why the bootstrap file was not read again. */
  config_fault: ShownFault | null;
  environments: Record<string, EnvironmentStatus>;
}
