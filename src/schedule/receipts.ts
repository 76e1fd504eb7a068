import { checkReceipts, type ReceiptDeps } from '../requests/receipts.ts';
import type { ScheduledJob } from './scheduler.ts';

/** Reads back what requests have changed. One broker does it for all: they serve the same. */
export function receipts(deps: ReceiptDeps): ScheduledJob {
  return { name: 'receipts', writes: true, alone: true, run: () => checkReceipts(deps) };
}
