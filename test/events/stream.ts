import type { TestBroker } from '../support/broker.ts';

/** An event that a client got. */
export interface GotEvent {
  id: string;
  event: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into events of every shape
  data: any;
}

/** A client of the stream, as a browser is one. */
export interface StreamClient {
  status: number;
  events: GotEvent[];
  /** Resolves once an event fits, whether it has come already or comes later. */
  until(fits: (event: GotEvent) => boolean): Promise<GotEvent>;
  /** Resolves once the broker has ended the stream. */
  ended: Promise<void>;
  close(): Promise<void>;
}

/** Follows the events with some headers. Returns once the stream is open. */
export async function follow(t: TestBroker, headers: Record<string, string>): Promise<StreamClient> {
  const abort = new AbortController();
  const response = await fetch(`${t.url}/v1/events`, { headers, signal: abort.signal });
  const events: GotEvent[] = [];
  let waiting: (() => void)[] = [];
  const wake = () => {
    for (const each of waiting) each();
    waiting = [];
  };
  const read = async () => {
    let text = '';
    for await (const part of response.body ?? []) {
      text += Buffer.from(part).toString();
      const frames = text.split('\n\n');
      text = frames.pop() ?? '';
      events.push(...frames.flatMap(toEvent));
      wake();
    }
  };
  const ended = read().catch(() => undefined);
  const client: StreamClient = {
    status: response.status,
    events,
    until: async (fits) => {
      for (;;) {
        const found = events.find(fits);
        if (found !== undefined) return found;
        const next = new Promise<void>((resolve) => waiting.push(resolve));
        const isOver = await Promise.race([next.then(() => false), ended.then(() => true)]);
        if (isOver && !events.some(fits)) throw new Error(`the stream ended: ${JSON.stringify(events)}`);
      }
    },
    ended,
    close: async () => {
      abort.abort();
      await ended;
    },
  };
  if (response.status === 200) await client.until(({ event }) => event === 'open' || event === 'reset');
  return client;
}

function toEvent(frame: string): GotEvent[] {
  const field = (name: string) => new RegExp(`^${name}: ?(.*)$`, 'm').exec(frame)?.[1];
  const event = field('event');
  const data = field('data') ?? '';
  return event === undefined
    ? []
    : [{ id: field('id') ?? '', event, data: data === '' ? null : JSON.parse(data) }];
}
