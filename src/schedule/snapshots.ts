import type { ScheduledJob } from './scheduler.ts';

/**
 * Notices what is not published. A broker that takes no writes does, too, because it must not say any more that what is
 * published is the newest.
 */
export function snapshotDelays(delays: { lookAtAll(): Promise<void> }): ScheduledJob {
  return { name: 'snapshot_delays', writes: false, alone: false, run: delays.lookAtAll };
}

/**
 * Publishes snapshots: when flags have changed, and in each run of the scheduler what was missed. Each broker runs it, since
 * the one that does the scheduled work may be configured otherwise; two that publish the same publish it once.
 */
export function snapshotPublication(publisher: {
  start(): void;
  stop(): Promise<void>;
  publishDue(): Promise<void>;
}): ScheduledJob {
  return {
    name: 'snapshots',
    writes: true,
    alone: false,
    run: publisher.publishDue,
    begin: publisher.start,
    end: publisher.stop,
  };
}

/** Lets whoever follows know what was signed again, which no write tells of. */
export function snapshotStreams(changed: (what: 'latest' | 'readers') => void): ScheduledJob {
  return {
    name: 'snapshot_streams',
    writes: false,
    alone: false,
    run: async () => {
      changed('latest');
      changed('readers');
    },
  };
}
