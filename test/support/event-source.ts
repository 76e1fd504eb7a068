import { setTimeout as delay } from 'node:timers/promises';

/*
 * `EventSource` as browsers have it, on `fetch`. Parsing and reconnecting follow the text of the standard, so it also
 * checks what a server sends. @see HTML Living Standard, section 9.2
 */

/** A message, as listeners get it. */
export interface SourceMessage {
  type: string;
  data: string;
  lastEventId: string;
}

type Listener = (event: SourceMessage) => void;

/** The time between two attempts, before a stream says another. */
const DEFAULT_RETRY_MS = 50;

/** Connects by itself, and again until it is closed or refused. */
export class TestEventSource {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSED = 2;
  /** Every source that was ever created, for tests that cannot reach theirs. */
  static readonly all: TestEventSource[] = [];

  readonly url: string;
  readyState: 0 | 1 | 2 = TestEventSource.CONNECTING;
  lastEventId = '';
  /** What the server asked for; tests do not wait so long. */
  retryMs: number | null = null;
  /** The statuses of the answers so far. */
  readonly statuses: number[] = [];
  readonly #listeners = new Map<string, Set<Listener>>();
  #abort = new AbortController();

  constructor(url: string | URL) {
    this.url = String(url);
    TestEventSource.all.push(this);
    void this.#run();
  }

  addEventListener(type: string, listener: Listener): void {
    const listeners = this.#listeners.get(type) ?? new Set();
    this.#listeners.set(type, listeners.add(listener));
  }

  removeEventListener(type: string, listener: Listener): void {
    this.#listeners.get(type)?.delete(listener);
  }

  /** Resolves with the next event of a type. */
  next(type: string): Promise<SourceMessage> {
    return new Promise((resolve) => {
      const listener = (event: SourceMessage) => {
        this.removeEventListener(type, listener);
        resolve(event);
      };
      this.addEventListener(type, listener);
    });
  }

  close(): void {
    this.readyState = TestEventSource.CLOSED;
    this.#abort.abort();
  }

  /** Cuts the connection, as a network does; the source connects again. */
  cut(): void {
    this.#abort.abort();
  }

  #dispatch(type: string, data = ''): void {
    for (const listener of this.#listeners.get(type) ?? [])
      listener({ type, data, lastEventId: this.lastEventId });
  }

  async #run(): Promise<void> {
    while (this.readyState !== TestEventSource.CLOSED) {
      this.readyState = TestEventSource.CONNECTING;
      this.#abort = new AbortController();
      const isRefused = await this.#connect().catch(() => false);
      if (this.readyState === (TestEventSource.CLOSED as number)) return;
      this.readyState = isRefused ? TestEventSource.CLOSED : TestEventSource.CONNECTING;
      this.#dispatch('error');
      if (!isRefused) await delay(DEFAULT_RETRY_MS);
    }
  }

  /** @returns whether the connection failed for good */
  async #connect(): Promise<boolean> {
    const { signal } = this.#abort;
    const res = await fetch(this.url, {
      headers: {
        Accept: 'text/event-stream',
        'Cache-Control': 'no-store',
        ...(this.lastEventId === '' ? {} : { 'Last-Event-ID': this.lastEventId }),
      },
      signal,
    });
    this.statuses.push(res.status);
    if (res.status !== 200 || !/^text\/event-stream\b/.test(res.headers.get('content-type') ?? '')) {
      await res.body?.cancel();
      return true;
    }
    this.readyState = TestEventSource.OPEN;
    this.#dispatch('open');
    const parse = createStreamParser({
      event: (type, data) => this.#dispatch(type, data),
      id: (id) => {
        this.lastEventId = id;
      },
      retry: (ms) => {
        this.retryMs = ms;
      },
    });
    const decoder = new TextDecoder();
    for await (const chunk of res.body ?? []) parse(decoder.decode(chunk, { stream: true }));
    return false;
  }
}

/** Interprets a stream of events. An incomplete event at the end is dropped. */
export function createStreamParser(into: {
  event(type: string, data: string): void;
  id(id: string): void;
  retry(ms: number): void;
}): (text: string) => void {
  let rest = '';
  let data: string[] = [];
  let type = '';
  let id: string | null = null;
  const line = (text: string): void => {
    if (text === '') {
      if (id !== null) into.id(id);
      if (data.length > 0) into.event(type === '' ? 'message' : type, data.join('\n'));
      [data, type] = [[], ''];
      return;
    }
    const colon = text.indexOf(':');
    if (colon === 0) return;
    const field = colon === -1 ? text : text.slice(0, colon);
    const value = colon === -1 ? '' : text.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') data.push(value);
    else if (field === 'event') type = value;
    else if (field === 'id' && !value.includes('\0')) id = value;
    else if (field === 'retry' && /^\d+$/.test(value)) into.retry(Number(value));
  };
  return (text) => {
    rest += text;
    // A carriage return at the end may be the first half of a line end.
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? '';
    for (const each of lines) line(each);
  };
}
