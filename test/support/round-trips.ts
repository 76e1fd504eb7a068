import { Client } from 'pg';
import { type Reply, startTestBroker } from './broker.ts';
import { createDatabase } from './postgres.ts';
import { audienceOf, createFlags, EACH, propose, toggleOf, toggleTogether } from './write-counts.ts';

/*
 * How often a write waits for a PostgreSQL server, from the call to its answer: what is sent while nothing is unanswered on its
 * connection begins a round trip, and what is sent behind it shares that.
 */

/** The round trips of each kind of write. */
export interface RoundTrips {
  toggle: number;
  /** Of one of those that share a batch, which is a fraction. */
  'toggle with others': number;
  propose: number;
  approve: number;
  apply: number;
}

/** Starts a broker on a PostgreSQL server, and counts. @throws Error if a call is not answered as it should be */
export async function countRoundTrips(): Promise<RoundTrips> {
  const database = await createDatabase();
  const t = await startTestBroker({ config: { database: database.address } });
  const counter = countTrips();
  const count = async (status: number, call: (place: number) => Promise<Reply>) => {
    const trips: number[] = [];
    for (let place = 0; place < EACH; place += 1) {
      counter.take();
      const reply = await call(place);
      trips.push(counter.take());
      if (reply.status !== status) throw new Error(`${reply.status}: ${JSON.stringify(reply.body)}`);
    }
    // The broker asks by itself, too, on a slow machine during most calls: what the call takes is the least.
    return Math.min(...trips);
  };
  try {
    await createFlags(t);
    const toggle = await count(201, (place) => propose(t, toggleOf(place, 'enable')));
    counter.take();
    await toggleTogether(t);
    const together = counter.take() / EACH;
    const held: Reply[] = [];
    const proposed = await count(201, async (place) => {
      const reply = await propose(t, audienceOf(place, 'globex'));
      held.push(reply);
      return reply;
    });
    const act = (who: string, place: number, name: 'approve' | 'apply', body?: object) =>
      t.call(who, 'POST', `/v1/requests/${held[place]?.body.id}/${name}`, body);
    const approve = await count(200, (place) =>
      act('alex', place, 'approve', { digest: held[place]?.body.digest }),
    );
    const apply = await count(200, (place) => act('dana', place, 'apply'));
    return { toggle, 'toggle with others': together, propose: proposed, approve, apply };
  } finally {
    counter.stop();
    await t.close();
    await database.remove();
  }
}

interface TripCounter {
  /** How many began since the last call. */
  take(): number;
  stop(): void;
}

type Query = (this: Client, ...given: unknown[]) => Promise<unknown>;

/** Counts on all connections of this process. */
function countTrips(): TripCounter {
  const prototype = Client.prototype as unknown as { query: Query };
  const { query } = prototype;
  const unanswered = new WeakMap<Client, number>();
  let trips = 0;
  prototype.query = function (this: Client, ...given: unknown[]) {
    const waiting = unanswered.get(this) ?? 0;
    if (waiting === 0) trips += 1;
    unanswered.set(this, waiting + 1);
    const answer = query.apply(this, given);
    const note = () => unanswered.set(this, (unanswered.get(this) ?? 0) - 1);
    // Who gives a function for the answer is given no promise.
    Promise.resolve(answer).then(note, note);
    return answer;
  };
  return {
    take: () => {
      const taken = trips;
      trips = 0;
      return taken;
    },
    stop: () => {
      prototype.query = query;
    },
  };
}
