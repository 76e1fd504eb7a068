import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { Witness } from './witness.ts';

/** A submission: a proof of 63 hashes and a checkpoint. */
const MAX_BODY_BYTES = 200_000;
const TEXT = 'text/plain; charset=utf-8';

/**
 * Serves a witness: `POST /add-checkpoint`, and `GET /<hash of the origin>/checkpoint`.
 *
 * @param onFault called with what keeps the witness from answering, such as its disk
 */
export function serveWitness(witness: Witness, onFault: (error: unknown) => void): Server {
  const server = createServer((request, response) => {
    const send = (status: number, body: string, type = TEXT) => {
      response.writeHead(status, { 'Content-Type': type, 'Cache-Control': 'no-store' });
      response.end(body);
    };
    answerOf(witness, request).then(
      ({ status, body, type }) => send(status, body, type),
      (error: unknown) => {
        onFault(error);
        send(500, 'the witness cannot answer\n');
      },
    );
  });
  server.requestTimeout = 30_000;
  return server;
}

async function answerOf(
  witness: Witness,
  request: IncomingMessage,
): Promise<{ status: number; body: string; type?: string }> {
  const { method, url = '' } = request;
  if (url === '/add-checkpoint') {
    if (method !== 'POST') return { status: 405, body: 'only POST\n' };
    const body = await readBody(request);
    if (body === null) return { status: 413, body: 'the submission is too long\n' };
    const { status, body: text, isSize } = await witness.add(body);
    return { status, body: text, ...(isSize ? { type: 'text/x.tlog.size' } : {}) };
  }
  const [, hash] = /^\/([0-9a-f]{64})\/checkpoint$/.exec(url) ?? [];
  const note = hash === undefined || method !== 'GET' ? null : await witness.latest(hash);
  return note === null ? { status: 404, body: 'there is none\n' } : { status: 200, body: note };
}

async function readBody(request: IncomingMessage): Promise<string | null> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    length += part.length;
    // The rest is read, so that the answer arrives.
    if (length <= MAX_BODY_BYTES) parts.push(part);
  }
  return length > MAX_BODY_BYTES ? null : Buffer.concat(parts).toString();
}
