/** What a relay serves of an environment, as it reported last. */
export interface RelaysTable {
  environment: string;
  /** The id of the principal whose token it reports with. */
  principal: string;
  /** The name that it has given itself. */
  relay: string;
  version: number;
  digest: string;
  /** Since when it serves that version, by its own clock. */
  served_ms: number;
  /** When it reported last. */
  reported_ms: number;
  /** The ids of its last reports, as JSON, newest last: each counts once. */
  recent: string;
}

/** What was read at relays and is not recorded yet, added up. */
export interface ReportedReadsTable {
  /** The five texts that tell rows apart, as JSON. */
  name: string;
  /** The pseudonym of the principal that reported it. */
  reporter: string;
  environment: string;
  /** The pseudonym of a principal. */
  workload: string | null;
  flag: string | null;
  variant: string | null;
  count: number;
  first_ms: number;
  last_ms: number;
}

/** What was read back of a request that changed flags in an environment. */
export interface ReceiptsTable {
  request_id: string;
  environment: string;
  /** The version of the environment that has the change. */
  version: number;
  /** What was written, as JSON: flag, version and digest of each state. */
  written: string;
  applied_ms: number;
  /** `pending`, `verified`, `unverified` or `diverged`. */
  state: string;
  /** What is served of the same flags, as JSON; null before it was looked at. */
  served: string | null;
  checked_ms: number | null;
  /** When the first relay served it, and the last one so far. */
  first_relay_ms: number | null;
  last_relay_ms: number | null;
}
