import type { ServerResponse } from 'node:http';
import type { Clock } from '../clock.ts';
import { BrokerError } from '../errors.ts';
import { isStopping, whenStopping } from './server.ts';

/*
 * Server-sent events. A set of streams has one timer, whatever the number of its clients, and a frame is serialised once
 * for all of them. A client that does not take its data, a token that has ended and a stop of the server each end a
 * stream: no client can keep memory or the stop waiting.
 */

/** One event. */
export interface StreamEvent {
  /** The client repeats it as `Last-Event-ID` when it connects again. */
  id?: string;
  /** The name of the event. Default: `message`. */
  event?: string;
  data: string;
}

/** A frame, serialised: the same for every client. */
export type Frame = Buffer;

/** What a name or an id may not contain. */
const BREAKS_FRAME = /[\r\n\0]/;

/** Serialises an event. @throws Error if its id or its name would break the frame */
export function eventFrame({ id, event, data }: StreamEvent): Frame {
  for (const text of [id, event]) {
    if (text !== undefined && BREAKS_FRAME.test(text))
      throw new Error('an id or a name of an event is broken');
  }
  const lines = data.split(/\r\n|\r|\n/).map((line) => `data: ${line}\n`);
  return Buffer.from(
    `${id === undefined ? '' : `id: ${id}\n`}${event === undefined ? '' : `event: ${event}\n`}${lines.join('')}\n`,
  );
}

const HEARTBEAT: Frame = Buffer.from(':\n\n');

/** How often ends are looked at: a token ends its streams within a second. */
const TICK_MS = 500;

/** How long after its end a stream may take to deliver what was sent before. */
const ENDING_TICKS = 2;

/** Behind the head of every stream. Buffering or storing it on the way would hold events back. */
const HEAD = [
  'Content-Type',
  'text/event-stream',
  'Cache-Control',
  'no-store',
  'X-Accel-Buffering',
  'no',
  // Nothing can follow a stream on its connection, so a stop has not to wait for the client.
  'Connection',
  'close',
];

/** The limits of a set of streams. */
export interface StreamLimits {
  /** All streams of the set. */
  streams: number;
  /** The streams of one principal. */
  of_principal: number;
  /** A client that has not taken so many bytes is cut off before the next frame. */
  waiting_bytes: number;
}

/** What a set of streams is opened with. */
export interface StreamsOptions {
  limits: StreamLimits;
  clock: Clock;
  /** How often a comment is sent, which shows both sides that the connection lives. Default: 15 s. */
  heartbeatMs?: number;
}

/** How one stream is opened. */
export interface OpenStream {
  /** Whose stream it is: the limit of one principal counts it. */
  principal: string;
  /** Headers beside those of every stream, flat. */
  headers?: readonly string[];
  /** How long the client should wait before it connects again. */
  retryMs?: number;
  /** The stream ends at this time: the expiry of its token. */
  endsAtMs?: number;
  /** Asked twice a second, and by {@link EventStreams.check}: false ends the stream. It MUST NOT wait. */
  mayGoOn?: () => boolean;
  /** Called once, however the stream ends. */
  closed?: () => void;
}

/** A stream to one client. */
export interface EventStream {
  /** Sends a frame. @returns false if the stream has ended, or ends because its client takes no data */
  send(frame: Frame): boolean;
  /** Ends the stream behind what was sent. The client connects again by itself, and is refused if it may not. */
  end(): void;
}

/** The streams of one kind, to all clients. */
export interface EventStreams {
  /**
   * Answers a request with a stream. Its head leaves at once. The response needs no other care: it may be Express's.
   *
   * @throws BrokerError before anything is sent: `overloaded`, `rate_limited` or `shutting_down`
   */
  open(res: ServerResponse, options: OpenStream): EventStream;
  /** Sends a frame to all clients. */
  broadcast(frame: Frame): void;
  /** Ends the streams whose time is over or that may not go on, now. */
  check(): void;
  /** Ends all streams. A stop of the server does it by itself. */
  endAll(): void;
  /** The counts for metrics: how many are open; and ever were opened, were refused, and were cut off. */
  counts(): { open: number; opened: number; refused: number; cut_off: number };
}

/** A stream, as its set knows it. */
interface Member extends EventStream {
  /** Ends the stream if its time is over. */
  endIfDue(nowMs: number): void;
  /** Drops a client that has not taken the end of its stream. */
  tick(): void;
  heartbeat(): void;
}

/** A stream whose client left before it was opened. */
const LEFT: EventStream = { send: () => false, end: () => undefined };

/** Creates an empty set of streams. */
export function createEventStreams({ limits, clock, heartbeatMs = 15_000 }: StreamsOptions): EventStreams {
  const members = new Set<Member>();
  const perPrincipal = new Map<string, number>();
  const counts = { opened: 0, refused: 0, cut_off: 0 };
  const ticksOfHeartbeat = Math.max(1, Math.round(heartbeatMs / TICK_MS));
  let ticks = 0;
  let timer: NodeJS.Timeout | null = null;

  function tick(): void {
    ticks += 1;
    const isHeartbeat = ticks % ticksOfHeartbeat === 0;
    const nowMs = clock();
    for (const member of members) {
      member.tick();
      member.endIfDue(nowMs);
      if (isHeartbeat) member.heartbeat();
    }
  }

  function joined(member: Member, principal: string): void {
    members.add(member);
    perPrincipal.set(principal, (perPrincipal.get(principal) ?? 0) + 1);
    counts.opened += 1;
    // A stream keeps its process alive by its connection, never by this timer.
    timer ??= setInterval(tick, TICK_MS).unref();
  }

  function left(member: Member, principal: string): void {
    members.delete(member);
    const others = (perPrincipal.get(principal) ?? 1) - 1;
    if (others === 0) perPrincipal.delete(principal);
    else perPrincipal.set(principal, others);
    if (members.size > 0 || timer === null) return;
    clearInterval(timer);
    timer = null;
  }

  function assertRoom(res: ServerResponse, principal: string): void {
    let refusal: BrokerError | null = null;
    if (isStopping(res))
      refusal = new BrokerError('shutting_down', 'The process stops. Connect again shortly.');
    else if (members.size >= limits.streams) {
      refusal = new BrokerError(
        'overloaded',
        `At most ${limits.streams} streams of this kind are served at once. Try again in 30 seconds.`,
        { headers: { 'Retry-After': '30' } },
      );
    } else if ((perPrincipal.get(principal) ?? 0) >= limits.of_principal) {
      refusal = new BrokerError(
        'rate_limited',
        `At most ${limits.of_principal} streams of one principal are served at once. Close one, or try again in 30 seconds.`,
        { headers: { 'Retry-After': '30' } },
      );
    }
    if (refusal === null) return;
    counts.refused += 1;
    throw refusal;
  }

  function memberOf(res: ServerResponse, { endsAtMs, mayGoOn }: OpenStream): Member {
    let ticksToDeliver: number | null = null;
    // Nothing sent and nothing taken: also a slow client takes something.
    res.setTimeout(2 * heartbeatMs, cutOff);

    function cutOff(): void {
      counts.cut_off += 1;
      res.destroy();
    }

    function send(frame: Frame): boolean {
      if (ticksToDeliver !== null || res.destroyed) return false;
      if (res.writableLength > limits.waiting_bytes) {
        cutOff();
        return false;
      }
      res.write(frame);
      return true;
    }

    function end(): void {
      if (ticksToDeliver !== null || res.destroyed) return;
      ticksToDeliver = ENDING_TICKS;
      res.end();
    }

    return {
      send,
      end,
      endIfDue: (nowMs) => {
        if ((endsAtMs !== undefined && nowMs >= endsAtMs) || mayGoOn?.() === false) end();
      },
      tick: () => {
        if (ticksToDeliver === null) return;
        ticksToDeliver -= 1;
        if (ticksToDeliver < 0) res.destroy();
      },
      heartbeat: () => {
        // Behind data that waits it would show nothing, and it would hide that none is taken.
        if (res.writableLength === 0) send(HEARTBEAT);
      },
    };
  }

  return {
    open(res, options) {
      const { principal, headers = [], retryMs, closed } = options;
      assertRoom(res, principal);
      if (res.destroyed || res.req.socket.destroyed) {
        closed?.();
        return LEFT;
      }
      const member = memberOf(res, options);
      joined(member, principal);
      res.once('close', () => {
        left(member, principal);
        closed?.();
      });
      // A client that leaves is no fault.
      res.on('error', () => undefined);
      whenStopping(res, member.end);
      res.writeHead(200, [...HEAD, ...headers]);
      // A comment, so that the head leaves at once, and proxies pass it on.
      res.write(retryMs === undefined ? HEARTBEAT : Buffer.from(`retry: ${retryMs}\n\n`));
      return member;
    },
    broadcast(frame) {
      for (const member of members) member.send(frame);
    },
    check() {
      const nowMs = clock();
      for (const member of members) member.endIfDue(nowMs);
    },
    endAll() {
      for (const member of members) member.end();
    },
    counts: () => ({ open: members.size, ...counts }),
  };
}
