import { SNAPSHOT_FAULTS, SnapshotFault, type SnapshotFaultCode } from '../snapshot/fault.ts';

/** What can go wrong besides a snapshot that is refused, and what to do about it. */
export const RELAY_FAULTS = {
  unreachable:
    'Check that the source runs, and that this machine reaches it. What was verified before is served on.',
  source_slow: 'Check the network, and what is in between. What was verified before is served on.',
  source_refused:
    'Check what the trust rule of this relay grants: the audience data:<environment>, and the namespaces *.',
  not_published:
    'Name the environment under snapshots.environments in the configuration of the broker, or publish it to this place.',
  source_busy: 'It passes by itself: the broker is starting, or has not published the present flags yet.',
  token_refused:
    'Check the identity of this relay, and the trust rule for it. The log of the broker has the exact reason.',
  stream_silent:
    'Something in between keeps the connection open and passes nothing on. The relay polls, and connects again.',
  stream_malformed: 'What answers there is no stream of a broker. The relay polls.',
  report_refused: 'The counts of reads were not accepted, and are dropped. Update the older program.',
  disk_failed:
    'Free or mount the disk of the state folder. The relay serves from memory, and would start with what it kept before.',
  kept_damaged:
    'The file was set aside, and another one is written with the next snapshot. Check the disk of the state folder.',
  unreadable: 'Give the relay more memory. What was verified before is served on.',
  failed: 'Report it, with the line of the log. What was verified before is served on.',
  config_unusable: 'Correct the bootstrap file. The relay goes on with what it had read before.',
} as const;

/** The code of a fault of a relay. */
export type RelayFaultCode = keyof typeof RELAY_FAULTS | SnapshotFaultCode;

/** Something that keeps a relay from being current. It never keeps it from serving what it has. */
export class RelayFault extends Error {
  readonly code: keyof typeof RELAY_FAULTS;
  /** How long the source asks to wait, in milliseconds, or null. */
  readonly retryAfterMs: number | null;

  constructor(
    code: keyof typeof RELAY_FAULTS,
    message: string,
    { cause, retryAfterMs = null }: { cause?: unknown; retryAfterMs?: number | null } = {},
  ) {
    super(message, { cause });
    this.name = 'RelayFault';
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }
}

/** A fault as `/status` shows it. */
export interface ShownFault {
  code: RelayFaultCode;
  detail: string;
  at_ms: number;
}

/** The longest detail that is shown: a source may say anything. */
const MAX_DETAIL = 500;

/** What `/status` shows of an error, with what to do about it. */
export function shownFault(thrown: unknown, nowMs: number): ShownFault {
  const isKnown = thrown instanceof SnapshotFault || thrown instanceof RelayFault;
  const error = isKnown ? thrown : new RelayFault('failed', `the relay failed: ${String(thrown)}`);
  // An address stays as it is.
  const sentence = error.message
    .slice(0, MAX_DETAIL)
    .replace(/^[a-z]+ /, (word) => word.charAt(0).toUpperCase() + word.slice(1));
  const remedy = error instanceof SnapshotFault ? SNAPSHOT_FAULTS[error.code] : RELAY_FAULTS[error.code];
  return { code: error.code, detail: `${sentence.replace(/\.$/, '')}. ${remedy}`, at_ms: nowMs };
}
