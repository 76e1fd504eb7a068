import type { IncomingMessage } from 'node:http';

/** True when the request announces a body. */
export function hasBody({ headers }: IncomingMessage): boolean {
  const length = headers['content-length'];
  return headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0');
}

/** True when a body can be read as JSON: uncompressed `application/json`, in UTF-8 or without a charset. */
export function isPlainJson({ headers }: IncomingMessage): boolean {
  const type = headers['content-type'];
  const coding = headers['content-encoding'];
  if (coding !== undefined && coding.toLowerCase() !== 'identity') return false;
  // A fast path for the exact value that nearly all clients send.
  return type === undefined || type === 'application/json' || JSON_TYPE.test(type);
}

const JSON_TYPE = /^application\/json\s*(;\s*charset="?utf-?8"?\s*)?$/i;

/**
 * Reads a body of at most `maxBytes` and calls `done` once, with null when it is larger. An aborted request does not
 * call `done`, because nobody awaits a response.
 */
export function readBody(req: IncomingMessage, maxBytes: number, done: (body: Buffer | null) => void): void {
  if (Number(req.headers['content-length'] ?? 0) > maxBytes) {
    done(null);
    return;
  }
  const chunks: Buffer[] = [];
  let size = 0;
  const onData = (chunk: Buffer): void => {
    size += chunk.length;
    if (size <= maxBytes) {
      chunks.push(chunk);
      return;
    }
    req.off('data', onData);
    req.off('end', onEnd);
    done(null);
  };
  const onEnd = (): void => {
    const [first] = chunks;
    done(first !== undefined && chunks.length === 1 ? first : Buffer.concat(chunks, size));
  };
  req.on('data', onData);
  req.on('end', onEnd);
  // Without a listener, a broken connection would be an uncaught error.
  req.on('error', () => undefined);
}
