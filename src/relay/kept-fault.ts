import { SnapshotFault } from '../snapshot/fault.ts';
import { RelayFault } from './fault.ts';

/** Whether a kept file is damaged. A key that is not known says nothing against it: it may have left the bootstrap file. */
export function isDamage(error: unknown): boolean {
  return error instanceof SnapshotFault && error.code !== 'unknown_key' && error.code !== 'other_epoch';
}

/** The fault of a kept file that is not used. */
export function keptFault(error: unknown): unknown {
  if (!(error instanceof SnapshotFault) || !isDamage(error)) return error;
  return new RelayFault('kept_damaged', `what was kept is not used (${error.code}): ${error.message}`, {
    cause: error,
  });
}
