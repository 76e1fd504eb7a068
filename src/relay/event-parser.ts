import { RelayFault } from './fault.ts';

/** What a stream said. */
export interface StreamEvent {
  name: string;
  data: string;
}

/** What becomes of the parts of a stream. */
export interface StreamParts {
  event(event: StreamEvent): void;
  /** A whole event or comment has arrived. */
  alive(): void;
  /** How long the broker asks to wait at least before the next attempt. */
  retry(ms: number): void;
}

/** The longest event, and the longest line. */
const MAX_CHARACTERS = 16 * 1024 * 1024;

/**
 * Reads server-sent events, as far as the broker uses them.
 *
 * @returns a function that takes the next piece of the stream, and throws RelayFault `stream_malformed`
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html section "Interpreting an event stream"
 */
export function createEventParser({ event, alive, retry }: StreamParts): (bytes: Uint8Array) => void {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let pieces: string[] = [];
  let size = 0;
  let name = '';
  let data: string[] = [];

  function field(line: string): void {
    const colon = line.indexOf(':');
    const key = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (key === 'event') name = value;
    else if (key === 'data') data.push(value);
    else if (key === 'retry' && /^\d{1,9}$/.test(value)) retry(Number(value));
  }

  function take(line: string): void {
    if (line.startsWith(':')) alive();
    else if (line !== '') field(line);
    else {
      if (data.length > 0) {
        alive();
        event({ name: name === '' ? 'message' : name, data: data.join('\n') });
      }
      [name, data, size] = ['', [], 0];
    }
  }

  function decode(bytes: Uint8Array): string {
    try {
      return decoder.decode(bytes, { stream: true });
    } catch (error) {
      throw new RelayFault('stream_malformed', 'the stream is not UTF-8', { cause: error });
    }
  }

  return (bytes) => {
    const text = decode(bytes);
    size += text.length;
    if (size > MAX_CHARACTERS)
      throw new RelayFault('stream_malformed', `an event of the stream exceeds ${MAX_CHARACTERS} characters`);
    // A line that arrives in many pieces is put together once.
    const [first = '', ...rest] = text.split('\n');
    pieces.push(first);
    for (const piece of rest) {
      take(pieces.join('').replace(/\r$/, ''));
      pieces = [piece];
    }
  };
}
