import { once } from 'node:events';
import type { RequestListener, ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { listen, type OpenSocket } from '../../src/http/server.ts';

/*
 * A stop, on real sockets. Requests are held by the test, so that no moment depends on time.
 */

let socket: OpenSocket;
let clients: Socket[];
/** The requests that had an effect, by path. */
let done: string[];
/** Answers that the test holds back, by path. */
let held: Map<string, ServerResponse>;
let arrived: () => void;

const listener: RequestListener = (req, res) => {
  const path = req.url ?? '';
  done.push(path);
  if (path.startsWith('/held')) held.set(path, res);
  else res.writeHead(200, ['Content-Length', '2']).end('ok');
  arrived();
};

beforeEach(async () => {
  clients = [];
  done = [];
  held = new Map();
  arrived = () => undefined;
  socket = await listen({ host: '127.0.0.1', port: 0 });
  socket.serve(listener);
});

afterEach(async () => {
  for (const client of clients) client.destroy();
  await socket.stop();
});

interface Client {
  write(text: string): void;
  send(...paths: string[]): void;
  /** Everything that the server sent, once it has closed the connection. */
  closed: Promise<string>;
}

async function open(): Promise<Client> {
  const client = connect(Number(new URL(socket.url).port), '127.0.0.1');
  clients.push(client);
  await once(client, 'connect');
  let received = '';
  client.on('data', (chunk) => {
    received += chunk.toString('latin1');
  });
  client.on('error', () => undefined);
  return {
    write: (text) => {
      client.write(text);
    },
    send: (...paths) => {
      client.write(
        paths.map((path) => `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n`).join(''),
      );
    },
    closed: new Promise((resolve) => client.once('close', () => resolve(received))),
  };
}

/** Resolves once this many requests have arrived. */
async function until(count: number): Promise<void> {
  while (done.length < count) {
    const { promise, resolve } = Promise.withResolvers<void>();
    arrived = resolve;
    await promise;
  }
}

function answer(path: string): void {
  held.get(path)?.writeHead(200, ['Content-Length', path.length]).end(path);
}

const answers = (text: string) => text.match(/HTTP\/1\.1 200/g)?.length ?? 0;

describe('a stop', () => {
  it('ends each busy connection with the answer in flight, which says so, and takes no request after it', async () => {
    const client = await open();
    client.send('/held');
    await until(1);
    const stopped = socket.stop();
    client.send('/late', '/later');
    answer('/held');
    const received = await client.closed;
    await stopped;
    expect(received).toContain('\r\nConnection: close\r\n');
    expect(received.endsWith('\r\n\r\n/held')).toBe(true);
    expect(answers(received)).toBe(1);
    expect(done).toEqual(['/held']);
  });

  it('answers the requests that were pipelined before it, and ends with the newest', async () => {
    const client = await open();
    client.send('/held/1', '/held/2');
    await until(2);
    const stopped = socket.stop();
    client.send('/late');
    answer('/held/2');
    answer('/held/1');
    const received = await client.closed;
    await stopped;
    expect(answers(received)).toBe(2);
    expect(received.match(/Connection: close/g)).toHaveLength(1);
    expect(done).toEqual(['/held/1', '/held/2']);
  });

  it('gives a client that sends for ever at most one more answer on each connection', async () => {
    const busy = await Promise.all(Array.from({ length: 4 }, open));
    for (const client of busy) client.send('/one');
    const slow = await open();
    slow.send('/held');
    await until(5);
    const stopped = socket.stop();
    const before = done.length;
    for (let round = 0; round < 50; round += 1) for (const client of busy) client.send('/more', '/more');
    await Promise.all(busy.map(({ closed }) => closed));
    expect(done.length - before).toBeLessThanOrEqual(busy.length);
    answer('/held');
    await slow.closed;
    await stopped;
  });

  it.each([
    ['has sent nothing', ''],
    ['has sent a part of a head', 'POST /late HTT'],
    ['has sent a part of a body', 'POST /held HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n{'],
  ])('does not wait for a client that %s', async (_, text) => {
    const client = await open();
    client.write(text);
    if (text.includes('/held')) await until(1);
    else await new Promise((resolve) => setTimeout(resolve, 50));
    const began = performance.now();
    await socket.stop();
    await client.closed;
    expect(performance.now() - began).toBeLessThan(8000);
  });

  it('accepts no connection', async () => {
    await socket.stop();
    const client = connect(Number(new URL(socket.url).port), '127.0.0.1');
    clients.push(client);
    const [error] = await once(client, 'error');
    expect(error.code).toBe('ECONNREFUSED');
  });
});
