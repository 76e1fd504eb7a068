import { hash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { BrokerError } from '../errors.ts';
import { type EventStream, type EventStreams, eventFrame, type Frame } from '../http/event-stream.ts';
import {
  type AuthenticateReader,
  type ByToken,
  credentialsOf,
  type DataReader,
  type FollowedReader,
} from './credentials.ts';
import { followFlags } from './ofrep-routes.ts';
import type { StreamTickets } from './stream-tickets.ts';
import type { ViewWatch } from './view-watch.ts';

/*
 * The event streams of OFREP: they tell browsers to ask for all flags again, and carry no flags themselves. A client that
 * connects, for the first time or again, is told at once unless it has seen the newest version: providers do not ask by
 * themselves after a connection was lost. Telling it once stands for all that it missed.
 */

/** What streams need besides the listener's own dependencies. */
export interface OfrepStreams extends ByToken {
  streams: EventStreams;
  views: ViewWatch;
  tickets: StreamTickets;
}

/** How long a client should wait before it connects again: spread, so that not all come back at once. */
const RETRY_MS = { least: 1000, most: 4000 };

/** The same for a client that found no room. Providers show an error after 30 seconds without a stream. */
const FULL_RETRY_MS = { least: 5000, most: 20_000 };

/** After so long without activity of its user, a client should close its stream. OFREP's default. */
const INACTIVITY_S = 120;

function spread({ least, most }: { least: number; most: number }): number {
  return Math.floor(least + Math.random() * (most - least));
}

/** The end of a bulk response, which says where its changes are told. */
export interface StreamAddress {
  /** Of the body, from behind its metadata. */
  readonly text: string;
  /** What the tag of the answer has to change with. */
  readonly mark: string;
}

/** The streams of one listener. */
export interface OfrepStreamListener {
  /** The address for the sender of a request. Remembered for the token. */
  addressFor(reader: DataReader, req: IncomingMessage): StreamAddress;
  /** Opens a stream with these headers. @throws BrokerError if its sender may not have one */
  open(req: IncomingMessage, res: ServerResponse, headers: readonly string[]): Promise<void>;
}

/** Creates the listener's part for streams. */
export function createOfrepStreams(
  { streams, views, tickets, tokenOf, follow }: OfrepStreams,
  authenticate: AuthenticateReader,
): OfrepStreamListener {
  const addresses = new WeakMap<DataReader['principal'], StreamAddress>();
  let last: { tag: string; frame: Frame } | null = null;

  /** One frame for all who see the same. */
  function frameOf(tag: string): Frame {
    if (last?.tag !== tag) {
      const data = JSON.stringify({ type: 'refetchEvaluation', etag: tag });
      last = { tag, frame: eventFrame({ id: tag, event: 'message', data }) };
    }
    return last.frame;
  }

  async function readerOf(req: IncomingMessage): Promise<FollowedReader> {
    const ticket = new URLSearchParams(req.url?.split('?')[1]).get('ticket');
    const sent = credentialsOf(req);
    if (ticket === null) {
      await authenticate(sent);
      return follow(tokenOf(sent));
    }
    const token = tickets.open(ticket);
    if (token === null || sent.authorization !== undefined || sent.apiKey !== undefined) {
      throw new BrokerError(
        'token_invalid',
        'The ticket is not valid. Evaluate all flags again, and use the address in the answer as it is, without a token beside it.',
      );
    }
    return follow(token);
  }

  return {
    addressFor(reader, req) {
      const known = addresses.get(reader.principal);
      if (known !== undefined) return known;
      const ticket = tickets.seal(tokenOf(credentialsOf(req)));
      const requestUri = `${followFlags.path}?ticket=${ticket}`;
      const eventStreams = [{ type: 'sse', endpoint: { requestUri }, inactivityDelaySec: INACTIVITY_S }];
      const text = `,"eventStreams":${JSON.stringify(eventStreams)}}`;
      const address = { text, mark: hash('sha256', requestUri, 'base64url').slice(0, 11) };
      addresses.set(reader.principal, address);
      return address;
    },
    async open(req, res, headers) {
      const { reader, endsAtMs, mayGoOn } = await readerOf(req);
      let stream: EventStream | null = null;
      const followed = views.follow(reader.environment, reader.namespaces, (_view, tag) => {
        stream?.send(frameOf(tag));
      });
      const principal = reader.principal.id;
      const closed = followed.stop;
      stream = openOrTurnAway(res, {
        ...{ principal, headers, endsAtMs, mayGoOn, closed },
        retryMs: spread(RETRY_MS),
      });
      const tag = followed.newest()?.tag;
      if (stream === null) followed.stop();
      else if (tag !== undefined && tag !== req.headers['last-event-id']) stream.send(frameOf(tag));
    },
  };

  /** A browser does not come back after a refusal. So a client that finds no room gets an empty stream, and comes later. */
  function openOrTurnAway(res: ServerResponse, options: Parameters<EventStreams['open']>[1]) {
    try {
      return streams.open(res, options);
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      res.writeHead(200, [
        ...['Content-Type', 'text/event-stream', 'Cache-Control', 'no-store', 'Connection', 'close'],
        ...(options.headers ?? []),
      ]);
      res.end(`retry: ${spread(FULL_RETRY_MS)}\n\n`);
      return null;
    }
  }
}
