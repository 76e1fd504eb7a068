import { createStreamParser } from './event-source.ts';

/** An event as a client of a stream gets it. */
export interface Received {
  event: string;
  data: string;
}

/** A client of a stream that takes whatever comes. */
export interface EventClient {
  status: number;
  events: Received[];
  /** The time that the stream asks to wait before the client connects again, in milliseconds. */
  retryMs(): number | null;
  /** The next event that fits, also one that has come already. */
  next(fits: (received: Received) => boolean): Promise<Received>;
  /** Resolves when the server has ended it. */
  ended: Promise<void>;
  close(): void;
}

/** Opens a stream with a token, which browsers cannot send. */
export async function openEvents(address: string, token: string): Promise<EventClient> {
  const abort = new AbortController();
  const response = await fetch(address, {
    headers: { authorization: `Bearer ${token}`, accept: 'text/event-stream' },
    signal: abort.signal,
  });
  const events: Received[] = [];
  let retryMs: number | null = null;
  const waiting = new Set<() => void>();
  const wakeAll = () => {
    for (const wake of waiting) wake();
  };
  const parse = createStreamParser({
    event: (event, data) => events.push({ event, data }),
    id: () => undefined,
    retry: (ms) => {
      retryMs = ms;
    },
  });
  const read = async () => {
    const decoder = new TextDecoder();
    try {
      for await (const piece of response.body ?? []) {
        parse(decoder.decode(piece, { stream: true }));
        wakeAll();
      }
    } catch {
      // It was cut.
    }
  };
  let isOver = false;
  const ended = read().then(() => {
    isOver = true;
    wakeAll();
  });
  return {
    status: response.status,
    events,
    retryMs: () => retryMs,
    ended,
    next: async (fits) => {
      for (;;) {
        const found = events.find(fits);
        if (found !== undefined) return found;
        if (isOver) throw new Error('the stream has ended');
        await new Promise<void>((resolve) => {
          const wake = () => {
            waiting.delete(wake);
            resolve();
          };
          waiting.add(wake);
        });
      }
    },
    close: () => abort.abort(),
  };
}
