import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../clock.ts';
import { BrokerError } from '../errors.ts';
import { type Answer, sendText } from '../http/answer.ts';
import { createEventStreams, type EventStreams, eventFrame, type Frame } from '../http/event-stream.ts';
import { type CountAttempt, countedRefusal } from '../http/rate-limit.ts';
import { MAX_LATEST_BYTES } from '../snapshot/latest.ts';
import { MAX_READERS_BYTES } from '../snapshot/readers.ts';
import { type AuthenticateReader, credentialsOf } from './credentials.ts';
import { environmentInPath } from './environment-path.ts';
import { assertReadsSnapshots, notPublished, streamSnapshots } from './snapshot-routes.ts';

/*
 * The stream that relays follow: the texts of `latest.json` and `readers.json`, at once and at each change. Each text is
 * serialised once for all clients, and one that a client has not taken is not kept for it for long: it would be outdated.
 */

const environmentOf = environmentInPath(streamSnapshots.path);

/**
 * The streams of one environment. Relays of one service are one principal. Whoever connects has both texts to take, and what waits
 * for many clients is the same memory.
 */
const LIMITS = { streams: 5000, of_principal: 5000, waiting_bytes: MAX_READERS_BYTES + 2 * MAX_LATEST_BYTES };

/** When clients should connect again, in milliseconds: each at another time, or all would come at once. */
const RETRY_MS = 1000;
const RETRY_SPREAD_MS = 4000;

/** The texts that are told, each with the name of its event. */
export type StreamedFile = 'latest' | 'readers';

const FILES: readonly StreamedFile[] = ['latest', 'readers'];

/** What {@link createSnapshotEvents} needs. */
export interface SnapshotEventsDeps {
  /** The text of a file now; null: there is none yet. */
  files: Readonly<Record<StreamedFile, (environment: string) => Promise<string | null>>>;
  /** Whether snapshots of an environment are published at all. */
  isPublished: (environment: string) => boolean;
  clock: Clock;
  random: () => number;
  log: { warn(fields: object, message: string): void };
}

/** The streams of all environments. */
export interface SnapshotEvents {
  /** Tells the clients of every environment what has changed of a file. Costs nothing without clients, and never rejects. */
  refresh(file: StreamedFile): Promise<void>;
  /** Opens a stream. @throws BrokerError */
  open(res: ServerResponse, reader: StreamReader): Promise<void>;
  /** The counts of all environments, for metrics. */
  counts(): ReturnType<EventStreams['counts']>;
}

/** Who reads, as a stream needs it. */
interface StreamReader {
  environment: string;
  principal: { id: string };
  expires_ms?: number;
  mayGoOn?: () => boolean;
}

/** What is told in one environment. */
interface Channel {
  readonly streams: EventStreams;
  readonly told: Map<StreamedFile, { text: string; frame: Frame }>;
  /** The look that runs, and the one after it, which sees what has changed meanwhile. */
  readonly looks: Map<StreamedFile, { running: Promise<void>; next: Promise<void> | null }>;
}

/** Creates the streams, without clients. */
export function createSnapshotEvents(deps: SnapshotEventsDeps): SnapshotEvents {
  const { files, isPublished, clock, random, log } = deps;
  const channels = new Map<string, Channel>();

  function channelOf(environment: string): Channel {
    let channel = channels.get(environment);
    if (channel === undefined) {
      channel = {
        streams: createEventStreams({ limits: LIMITS, clock }),
        told: new Map(),
        looks: new Map(),
      };
      channels.set(environment, channel);
    }
    return channel;
  }

  async function tellIfNew(environment: string, file: StreamedFile): Promise<void> {
    const { streams, told } = channelOf(environment);
    const text = await files[file](environment);
    if (text === null || told.get(file)?.text === text) return;
    const frame = eventFrame({ event: file, data: text });
    told.set(file, { text, frame });
    streams.broadcast(frame);
  }

  function look(environment: string, file: StreamedFile): Promise<void> {
    const { looks } = channelOf(environment);
    const start = (): Promise<void> => {
      const running = tellIfNew(environment, file);
      const state = { running, next: null };
      looks.set(file, state);
      const done = () => {
        if (looks.get(file) === state && state.next === null) looks.delete(file);
      };
      running.then(done, done);
      return running;
    };
    const state = looks.get(file);
    if (state === undefined) return start();
    state.next ??= state.running.then(start, start);
    return state.next;
  }

  /**
   * A list of readers that cannot be made keeps no flags from those who follow. They see the fault when they poll it.
   *
   * @throws BrokerError, or whatever keeps the pointer from being read
   */
  async function lookAtAll(environment: string): Promise<void> {
    const [latest, readers] = await Promise.allSettled(FILES.map((file) => look(environment, file)));
    if (latest?.status === 'rejected') throw latest.reason;
    if (readers?.status !== 'rejected') return;
    if (readers.reason instanceof BrokerError) throw readers.reason;
    log.warn({ err: readers.reason, environment }, 'the clients of a stream have no new list of readers');
  }

  return {
    refresh: async (file) => {
      for (const [environment, { streams }] of channels) {
        if (streams.counts().open === 0) continue;
        await look(environment, file).catch((error: unknown) =>
          log.warn(
            { err: error, environment, file },
            'the clients of a stream were not told; it is tried again',
          ),
        );
      }
    },
    open: async (res, { environment, principal, expires_ms, mayGoOn }) => {
      if (!isPublished(environment)) throw notPublished(environment);
      const { streams, told } = channelOf(environment);
      // With clients, both are as new as the last change.
      if (streams.counts().open === 0) await lookAtAll(environment);
      const stream = streams.open(res, {
        principal: principal.id,
        retryMs: RETRY_MS + Math.floor(random() * RETRY_SPREAD_MS),
        ...(expires_ms === undefined ? {} : { endsAtMs: expires_ms }),
        ...(mayGoOn === undefined ? {} : { mayGoOn }),
      });
      // The smaller one first: it is what flags wait for.
      for (const file of FILES) {
        const known = told.get(file);
        if (known !== undefined) stream.send(known.frame);
      }
    },
    counts: () => {
      const sum = { open: 0, opened: 0, refused: 0, cut_off: 0 };
      for (const { streams } of channels.values()) {
        const own = streams.counts();
        for (const name of ['open', 'opened', 'refused', 'cut_off'] as const) sum[name] += own[name];
      }
      return sum;
    },
  };
}

/** The dependencies of the listener. */
export interface SnapshotStreamDeps {
  events: Pick<SnapshotEvents, 'open'>;
  authenticate: AuthenticateReader;
  /** Counts a request without a valid identity. @throws BrokerError `rate_limited` */
  countAttempt?: CountAttempt;
  /** Writes a refusal. */
  problemOf: (error: unknown, requestId: string) => Answer;
}

/** A request, as far as it is known before its route. */
interface Known {
  readonly id: string;
  route: string | null;
}

/**
 * Creates the listener. It returns true when it handles the request. False leaves request and response untouched for the
 * next listener.
 */
export function createSnapshotStreamListener({
  events,
  authenticate,
  countAttempt,
  problemOf,
}: SnapshotStreamDeps): (req: IncomingMessage, res: ServerResponse, known: Known) => boolean {
  async function answer(req: IncomingMessage, res: ServerResponse, environment: string): Promise<void> {
    const reader = await authenticate(credentialsOf(req));
    assertReadsSnapshots(reader, environment);
    if (req.method !== streamSnapshots.method)
      throw new BrokerError('method_not_allowed', 'Use GET for this path.', { headers: { Allow: 'GET' } });
    await events.open(res, reader);
  }

  async function refuse(req: IncomingMessage, error: unknown, id: string): Promise<Answer> {
    return problemOf(await countedRefusal(countAttempt, req, error), id);
  }

  return (req, res, known) => {
    const environment = environmentOf(req);
    if (environment === null) return false;
    known.route = streamSnapshots.path;
    answer(req, res, environment)
      .catch(async (error: unknown) => {
        // A stream that has begun has no answer any more.
        if (res.headersSent) throw error;
        sendText(res, await refuse(req, error, known.id));
      })
      .catch((error: Error) => res.destroy(error));
    return true;
  };
}
