import type { Clock } from '../clock.ts';
import { createEventStreams, type EventStreams } from '../http/event-stream.ts';
import { createFlagdDocuments, type FlagdDocuments } from './flagd-documents.ts';
import type { Snapshots } from './snapshot.ts';
import { createStreamTickets, type StreamTickets } from './stream-tickets.ts';
import { createViewWatch, type ViewWatch } from './view-watch.ts';

/** One token may serve all users of an application. A client that waits takes some kilobytes. */
const LIMITS = { streams: 10_000, of_principal: 5000, waiting_bytes: 64 * 1024 };

/** What a process needs to tell applications of changes. */
export interface Following {
  readonly views: ViewWatch;
  /** The streams of OFREP. */
  readonly streams: EventStreams;
  readonly tickets: StreamTickets;
  /** The definitions that flagd gets, by HTTP and by gRPC. */
  readonly documents: FlagdDocuments;
}

/** Opens it. @param secret processes with the same secret accept each other's tickets */
export function openFollowing({
  snapshots,
  clock,
  secret,
  log,
}: {
  snapshots: Pick<Snapshots, 'current' | 'onChange'>;
  clock: Clock;
  secret: Buffer;
  log: { error(fields: object, message: string): void };
}): Following {
  return {
    views: createViewWatch({ snapshots, clock }),
    streams: createEventStreams({ limits: LIMITS, clock }),
    tickets: createStreamTickets(secret),
    documents: createFlagdDocuments({ log }),
  };
}
