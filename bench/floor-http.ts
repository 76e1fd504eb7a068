import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { serve, usage } from './child.ts';
import { TOGGLE_FLAGS, toggleFlag } from './flags.ts';

/**
 * The floor under reads: bare `node:http` that parses the body and answers from memory. No token, no evaluation.
 */
const flags = new Map(
  Array.from({ length: TOGGLE_FLAGS }, (_, place) => {
    const key = toggleFlag(place);
    return [key, { key, value: false, variant: 'off', reason: 'DISABLED', metadata: { version: 1 } }];
  }),
);
const TAG = '"one"';
const all = JSON.stringify({ flags: [...flags.values()] });

const server = createServer((req, res) => {
  const chunks: Buffer[] = [];
  req.on('data', (chunk: Buffer) => chunks.push(chunk));
  req.on('end', () => answer(req, res, Buffer.concat(chunks)));
});

function answer(req: IncomingMessage, res: ServerResponse, body: Buffer): void {
  JSON.parse(body.toString());
  const key = req.url?.slice('/ofrep/v1/evaluate/flags/'.length) ?? '';
  if (key === '' && req.headers['if-none-match'] === TAG) {
    res.writeHead(304, { ETag: TAG }).end();
    return;
  }
  const text = key === '' ? all : JSON.stringify(flags.get(key));
  res.writeHead(200, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(text),
    ETag: TAG,
  });
  res.end(text);
}

server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo;
  serve({
    answer: async () => ({ url: `http://127.0.0.1:${port}`, ...usage() }),
    end: async () => {
      server.close();
    },
  });
});
