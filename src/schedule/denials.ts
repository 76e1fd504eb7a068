import type { ControlDeps } from '../decide/control.ts';
import { recordCounts } from '../decide/counted-denials.ts';
import type { ScheduledJob } from './scheduler.ts';

/** Records how often callers without a grant were denied, minute by minute. */
export function countedDenials(control: ControlDeps): ScheduledJob {
  return { name: 'counted denials', writes: true, alone: true, run: () => recordCounts(control) };
}
