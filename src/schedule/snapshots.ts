import type { ScheduledJob } from './scheduler.ts';

/** Publishes snapshots: when flags have changed, and in each run of the scheduler what was missed. */
export function snapshotPublication(publisher: {
  start(): void;
  stop(): Promise<void>;
  publishDue(): Promise<void>;
}): ScheduledJob {
  return {
    name: 'snapshots',
    writes: true,
    alone: true,
    run: publisher.publishDue,
    begin: publisher.start,
    end: publisher.stop,
  };
}
