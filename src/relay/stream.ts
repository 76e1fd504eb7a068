import { createEventParser, type StreamParts } from './event-parser.ts';
import { RelayFault } from './fault.ts';
import { answerFault, reasonOf, retryAfterMs } from './source.ts';

/* The stream of a broker: what is the newest of an environment, at once and at each change. */

/** How a stream is read. */
export interface StreamOptions extends Omit<StreamParts, 'alive'> {
  fetch: typeof globalThis.fetch;
  address: string;
  headers: Record<string, string>;
  signal: AbortSignal;
  /** For the head of the answer. */
  answerMs: number;
  /** After so long without a whole event or a heartbeat it counts as dead. */
  silenceMs: number;
  /** It answers with this status; with 200 it is alive from here on. */
  answered: (status: number) => void;
}

/**
 * Follows a stream until it ends, which is no fault: it ends with the token that it was opened with.
 *
 * @throws RelayFault
 */
export async function followStream(options: StreamOptions): Promise<void> {
  const { address, signal, answerMs, silenceMs } = options;
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), answerMs);
  const alive = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), silenceMs);
  };
  try {
    const response = await options.fetch(address, {
      headers: { ...options.headers, accept: 'text/event-stream' },
      redirect: 'error',
      signal: AbortSignal.any([signal, silence.signal]),
    });
    options.answered(response.status);
    await assertStream(response, address);
    alive();
    const parse = createEventParser({ ...options, alive });
    for await (const piece of response.body ?? []) parse(piece);
  } catch (error) {
    if (error instanceof RelayFault) throw error;
    if (silence.signal.aborted)
      throw new RelayFault('stream_silent', `${address} said nothing for ${silenceMs} ms`, { cause: error });
    throw new RelayFault('unreachable', `${address} was cut: ${reasonOf(error)}`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

async function assertStream({ status, headers, body }: Response, address: string): Promise<void> {
  const type = headers.get('content-type');
  if (status === 200 && type?.startsWith('text/event-stream') === true) return;
  await body?.cancel().catch(() => undefined);
  if (status !== 200) throw answerFault(status, address, retryAfterMs(headers.get('retry-after')));
  throw new RelayFault('stream_malformed', `${address} answers with ${type ?? 'no type'}`);
}
