import type { ServerResponse } from 'node:http';
import type { Call, ControlDeps, Place } from '../decide/control.ts';
import { readablePlaces } from '../decide/read.ts';
import { createEventStreams, type EventStream, eventFrame } from '../http/event-stream.ts';
import type { Caller } from '../identity/credential.ts';
import type { Policy } from '../policy/policies.ts';
import { listLeavesAfter } from '../store/events.ts';
import { readHead } from '../store/log-head.ts';
import { type PlacedEvent, toEvents } from './events.ts';

/*
 * The feed of events. It reads what was committed, by whatever broker, so that it is the same on all of them. Each client
 * is told what it could read at that moment, and its credential is looked at as often as the log.
 */

/** How often the log and the credentials are looked at, while somebody follows. */
const LOOK_MS = 400;
/** The records that are read at once. */
const RECORDS_AT_ONCE = 200;
/** The most records that somebody who connects again is told of: whoever missed more reads the pages again. */
const MAX_REPLAY = 2000;
/** When clients should connect again, each at another time. */
const RETRY_MS = 1000;
const RETRY_SPREAD_MS = 3000;
const LIMITS = { streams: 2000, of_principal: 20, waiting_bytes: 1024 * 1024 };

/** The dependencies of a feed. */
export interface FeedDeps {
  control: ControlDeps;
  /** Of browser sessions those that are still open. */
  stillOpen: (tokenIds: readonly string[]) => Promise<ReadonlySet<string>>;
  random: () => number;
  log: { warn(fields: object, message: string): void };
}

/** A place in the log of one epoch. */
interface Mark {
  epoch: number;
  place: number;
}

interface Follower {
  readonly call: Call & Caller;
  readonly stream: EventStream;
  /** Up to where it was told. */
  told: number;
  /** What it may read, under the policy of the last look. */
  may: { policy: Policy; of: Map<string, (place: Place) => boolean> } | null;
}

/** The feed of events. */
export interface Feed {
  /**
   * Follows the log for a caller.
   *
   * @param last the `Last-Event-ID` of the client, if it sent one
   * @throws BrokerError before anything is sent
   */
  follow(res: ServerResponse, call: Call & Caller, last: string | undefined): Promise<void>;
  /** Tells everybody what is new, now, and ends the streams of whoever is revoked. Never rejects. */
  look(): Promise<void>;
}

/** Creates a feed without followers. */
export function createFeed({ control, stillOpen, random, log }: FeedDeps): Feed {
  const { store, policies, revocations, clock } = control;
  const streams = createEventStreams({ limits: LIMITS, clock });
  const followers = new Set<Follower>();
  let timer: NodeJS.Timeout | null = null;
  let running: Promise<void> | null = null;

  async function endRevoked(): Promise<void> {
    const isSession = ({ call }: Follower) => call.credential.token_id.startsWith('session:');
    const sessions = [...followers].filter(isSession).map(({ call }) => call.credential.token_id);
    const open = sessions.length === 0 ? new Set() : await stillOpen(sessions);
    for (const follower of followers) {
      const { call, stream } = follower;
      const isOver = isSession(follower) && !open.has(call.credential.token_id);
      if (isOver || (await revocations.latest().hit(store.read, call)) !== null) stream.end();
    }
  }

  async function mayRead(follower: Follower, { operation, places }: PlacedEvent): Promise<boolean> {
    const policy = policies.latest();
    if (follower.may?.policy !== policy) follower.may = { policy, of: new Map() };
    const { of } = follower.may;
    const isReadable =
      of.get(operation) ?? (await readablePlaces(control, follower.call, operation, { counts: false }));
    of.set(operation, isReadable);
    return places.every(isReadable);
  }

  async function tell(follower: Follower, { epoch, place }: Mark): Promise<void> {
    while (follower.told < place) {
      const rows = await listLeavesAfter(store.read, follower.told, RECORDS_AT_ONCE);
      const last = rows.at(-1)?.place;
      if (last === undefined) return;
      for (const placed of await toEvents(control, rows)) {
        if (!(await mayRead(follower, placed))) continue;
        const { event } = placed;
        const id = `${epoch}-${event.place}`;
        if (!follower.stream.send(eventFrame({ id, event: event.type, data: JSON.stringify(event) }))) return;
      }
      follower.told = last;
    }
  }

  async function lookOnce(): Promise<void> {
    await endRevoked();
    const { epoch, size } = await readHead(store.read);
    for (const follower of followers) await tell(follower, { epoch, place: size });
  }

  function look(): Promise<void> {
    running ??= lookOnce()
      .catch((error: unknown) => log.warn({ err: error }, 'events could not be told; it is tried again'))
      .finally(() => {
        running = null;
      });
    return running;
  }

  function left(follower: Follower): void {
    followers.delete(follower);
    if (followers.size > 0 || timer === null) return;
    clearInterval(timer);
    timer = null;
  }

  return {
    look,
    follow: async (res, call, last) => {
      const { epoch, size } = await readHead(store.read);
      const from = startOf(last, { epoch, place: size });
      const { expires_ms } = call.credential;
      let follower: Follower | null = null;
      const stream = streams.open(res, {
        principal: call.principal.id,
        endsAtMs: expires_ms,
        retryMs: RETRY_MS + Math.floor(random() * RETRY_SPREAD_MS),
        closed: () => {
          if (follower !== null) left(follower);
        },
      });
      if (res.destroyed) return;
      follower = { call, stream, told: from.place, may: null };
      followers.add(follower);
      timer ??= setInterval(look, LOOK_MS).unref();
      // The client knows from here where to go on, and whether it missed too much.
      const id = `${epoch}-${from.place}`;
      stream.send(eventFrame({ id, event: from.isReset ? 'reset' : 'open', data: '' }));
    },
  };
}

/** Where a client goes on: where it was, or at the end if that is too far back, or of another log. */
function startOf(last: string | undefined, { epoch, place }: Mark): { place: number; isReset: boolean } {
  if (last === undefined || last === '') return { place, isReset: false };
  const [, of, told] = /^(\d{1,15})-(\d{1,15})$/.exec(last) ?? [];
  const isOurs = Number(of) === epoch && Number(told) <= place && Number(told) >= place - MAX_REPLAY;
  return isOurs ? { place: Number(told), isReset: false } : { place, isReset: true };
}
