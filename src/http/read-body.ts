import type { IncomingMessage } from 'node:http';
import { BrokerError } from '../errors.ts';

/**
 * Reads the body of a request. A body that is too large is received and dropped before it is refused, because a client that
 * is still sending reads no answer.
 *
 * @throws BrokerError `body_too_large`, or `malformed_json` if the connection ended before the body did
 */
export function readBody(req: IncomingMessage, maxBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let chunks: Buffer[] = [];
    let size = 0;
    req.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= maxBytes) chunks.push(chunk);
      else chunks = [];
    });
    req.once('end', () => {
      const [first] = chunks;
      if (size > maxBytes) reject(new BrokerError('body_too_large', 'Send less, or split the request.'));
      else resolve(first !== undefined && chunks.length === 1 ? first : Buffer.concat(chunks, size));
    });
    // Follows the end of each body, when the promise is settled.
    req.once('close', () => reject(new BrokerError('malformed_json', 'The body ended too early.')));
    // Without a listener, a broken connection would be an uncaught error.
    req.once('error', () => undefined);
  });
}
