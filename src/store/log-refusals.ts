import { BrokerError } from '../errors.ts';

/** What says that the file is sound, and the log in it is not the right one. */
const LOG_FAULTS: readonly string[] = ['restored_copy', 'log_altered'];

/** Whether writes are refused because of what the log is. */
export function isLogFault(error: unknown): boolean {
  return error instanceof BrokerError && LOG_FAULTS.includes(error.code);
}

/** The error of writes to a log that was changed. */
export function logAltered(detail: string): BrokerError {
  return new BrokerError(
    'log_altered',
    `${detail} Nothing was written. Flags are still served; the operator must find out who had access, and restore a backup.`,
    { headers: { 'Retry-After': '60' } },
  );
}

/** The error of writes to a database that lacks what was acknowledged or signed. */
export function lacking(detail: string): BrokerError {
  return new BrokerError(
    'restored_copy',
    `${detail} Nothing was written; the operator must put the newest copy back, or confirm the restore with "countersign accept-restore".`,
    { headers: { 'Retry-After': '60' } },
  );
}
