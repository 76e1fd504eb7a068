/*
 * Published snapshots: their form, and how whoever has the key of the log verifies them. Nothing here knows the broker: relays
 * and auditors use it, too.
 */

/** Why a snapshot is refused, and what to do about it. */
export const SNAPSHOT_FAULTS = {
  not_a_snapshot:
    'What answers there is something else: an error page, another file, a proxy. Check the place; it must serve the files as they were published.',
  too_large: 'No broker publishes one of this size. Check the place.',
  malformed:
    'It was not published by this version of the broker, or it was changed. If the broker is newer, update this program.',
  unknown_key:
    'Check that the key is that of the log of this broker (GET /v1/log). After a rotation, give the new key, too.',
  signature_invalid:
    'It was changed or forged. Serve nothing of it, and find out who can write to the place.',
  other_environment: 'Check the environment, and who writes to the place.',
  other_epoch:
    'The broker was restored from a backup, and its log has another name and another key since. If that is known and confirmed, give the key of the new log.',
  expired:
    'The broker has not signed it again in time, or what it signs does not reach this place: look at the broker, and at what publishes.',
  not_yet_valid: 'Set the clocks of this machine and of the broker.',
  stepped_back:
    'Somebody put an earlier snapshot there, or several write to the place. Serve on what was newer.',
  forked: 'The log cannot have both. Keep the files as evidence, and verify the log.',
  unproven: 'Nothing shows that the log has it, so nobody could notice a forgery. Serve nothing of it.',
  proof_other: 'The proof is that of another record. Publish both files again.',
  body_missing: 'The publication may be in progress: read the pointer again.',
  body_other:
    'The file is incomplete or was changed: read it again. If that does not help, remove it, and publish it again.',
} as const;

/** The code of a refusal. */
export type SnapshotFaultCode = keyof typeof SNAPSHOT_FAULTS;

/** A snapshot that must not be served. The message is a sentence without its first capital and its full stop. */
export class SnapshotFault extends Error {
  readonly code: SnapshotFaultCode;

  constructor(code: SnapshotFaultCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'SnapshotFault';
    this.code = code;
  }

  /** What to do about it. */
  get remedy(): string {
    return SNAPSHOT_FAULTS[this.code];
  }
}
