import { once } from 'node:events';
import type { RequestListener, ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import express from 'express';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { BrokerError } from '../../src/errors.ts';
import {
  createEventStreams,
  type EventStreams,
  eventFrame,
  type OpenStream,
  type StreamLimits,
} from '../../src/http/event-stream.ts';
import { listen, type OpenSocket } from '../../src/http/server.ts';
import { createStreamParser } from '../support/event-source.ts';

/*
 * Streams on real sockets. The timer of a set is the test's: no moment depends on the machine.
 */

const WAITING_BYTES = 64 * 1024;
const TICK_MS = 500;
const HEARTBEAT_MS = 15_000;

let socket: OpenSocket;
let clients: Socket[];
let streams: EventStreams;
let nowMs: number;
/** How the next streams are opened. */
let options: OpenStream;
/** How many streams have closed. */
let closed: number;

function start(limits: Partial<StreamLimits> = {}, heartbeatMs = HEARTBEAT_MS): void {
  streams = createEventStreams({
    limits: { streams: 5000, of_principal: 5000, waiting_bytes: WAITING_BYTES, ...limits },
    clock: () => nowMs,
    heartbeatMs,
  });
}

function openOn(res: ServerResponse): void {
  try {
    streams.open(res, {
      ...options,
      closed: () => {
        closed += 1;
      },
    });
  } catch (error) {
    const { code } = error as BrokerError;
    res.writeHead(503, { 'Content-Type': 'text/plain' }).end(code);
  }
}

const listener: RequestListener = (_req, res) => openOn(res);

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  clients = [];
  nowMs = 1_000_000;
  options = { principal: 'one' };
  closed = 0;
  start();
  socket = await listen({ host: '127.0.0.1', port: 0 });
  socket.serve(listener);
});

afterEach(async () => {
  for (const client of clients) client.destroy();
  await socket.stop();
  vi.useRealTimers();
});

/** Waits until something holds. Vitest's own wait would move the timer of the streams. */
async function eventually(holds: () => boolean): Promise<void> {
  while (!holds()) await delay(5);
}

/** A client that takes what it gets, unless it is paused. */
async function open(path = '/') {
  const client = connect(Number(new URL(socket.url).port), '127.0.0.1');
  clients.push(client);
  client.on('error', () => undefined);
  let received = '';
  const ended = once(client, 'close');
  client.on('data', (chunk) => {
    received += chunk.toString('latin1');
  });
  await once(client, 'connect');
  client.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`);
  const until = (text: string) => eventually(() => received.includes(text));
  return { client, ended, until, received: () => received };
}

/** Some clients whose streams are open. */
async function openMany(count: number) {
  const opened = await Promise.all(Array.from({ length: count }, () => open()));
  await eventually(() => streams.counts().open === count);
  return opened;
}

describe('a frame', () => {
  it('is read back as the standard says, line by line', () => {
    const events: string[][] = [];
    const parse = createStreamParser({
      event: (type, data) => events.push([type, data]),
      id: (id) => events.push(['id', id]),
      retry: () => undefined,
    });
    const frame = eventFrame({ id: '7', event: 'changed', data: 'one\ntwo\r\nthree\rfour' });
    parse(`${frame}${eventFrame({ data: ' of two lines: \n' })}`);
    expect(events).toEqual([
      ['id', '7'],
      ['changed', 'one\ntwo\nthree\nfour'],
      ['id', '7'],
      ['message', ' of two lines: \n'],
    ]);
  });

  it.each([{ id: 'a\nevent: forged' }, { event: 'a\rdata: forged' }, { id: 'a\0' }])(
    'refuses %j',
    (broken) => {
      expect(() => eventFrame({ ...broken, data: '' })).toThrow(Error);
    },
  );
});

describe('a stream', () => {
  it('has headers that keep everybody from holding it back', async () => {
    options = { principal: 'one', headers: ['Access-Control-Allow-Origin', '*'], retryMs: 1234 };
    const { received, until } = await open();
    await until('retry: 1234\n\n');
    const head = received().split('\r\n\r\n')[0]?.toLowerCase().split('\r\n');
    expect(head).toEqual(
      expect.arrayContaining([
        'http/1.1 200 ok',
        'content-type: text/event-stream',
        'cache-control: no-store',
        'x-accel-buffering: no',
        'connection: close',
        'access-control-allow-origin: *',
      ]),
    );
  });

  it('gets the same frames as all others, and a comment every 15 seconds', async () => {
    const [one, other] = await openMany(2);
    streams.broadcast(eventFrame({ id: '1', data: 'hello' }));
    await Promise.all([one?.until('id: 1\ndata: hello\n\n'), other?.until('id: 1\ndata: hello\n\n')]);
    vi.advanceTimersByTime(HEARTBEAT_MS - TICK_MS);
    expect(one?.received().match(/^:\n$/gm)).toHaveLength(1);
    vi.advanceTimersByTime(TICK_MS);
    await eventually(() => one?.received().match(/^:\n$/gm)?.length === 2);
  });

  it('works on a response of Express with headers of its own', async () => {
    const app = express();
    app.get('/', (_req, res) => {
      res.setHeader('Cache-Control', 'private');
      openOn(res);
    });
    await socket.stop();
    socket = await listen({ host: '127.0.0.1', port: 0 });
    socket.serve(app);
    const { received, until } = await open();
    await until(':\n\n');
    streams.broadcast(eventFrame({ data: 'hello' }));
    await until('data: hello\n\n');
    expect(received()).toMatch(/cache-control: no-store\r\n/i);
    expect(received()).not.toMatch(/private/);
  });

  it('ends at its time, and not before', async () => {
    options = { principal: 'one', endsAtMs: nowMs + 5000 };
    const { until, ended } = await open();
    await until(':\n\n');
    nowMs += 4999;
    vi.advanceTimersByTime(TICK_MS);
    expect(streams.counts().open).toBe(1);
    nowMs += 1;
    vi.advanceTimersByTime(TICK_MS);
    await ended;
    expect(closed).toBe(1);
  });

  it('ends when it may not go on, at once if asked', async () => {
    let may = true;
    options = { principal: 'one', mayGoOn: () => may };
    const { until, ended, received } = await open();
    await until(':\n\n');
    may = false;
    streams.check();
    streams.broadcast(eventFrame({ data: 'secret' }));
    await ended;
    expect(received()).not.toContain('secret');
    // Ended, not cut: the last chunk is there.
    expect(received()).toMatch(/0\r\n\r\n$/);
  });

  it('closes once when its client leaves, before or after it opened', async () => {
    const { client, until } = await open();
    await until(':\n\n');
    client.resetAndDestroy();
    await eventually(() => closed === 1);
    expect(streams.counts()).toEqual({ open: 0, opened: 1, refused: 0, cut_off: 0 });

    const { promise, resolve } = Promise.withResolvers<ServerResponse>();
    socket.serve((_req, res) => resolve(res));
    await socket.stop();
    socket = await listen({ host: '127.0.0.1', port: 0 });
    socket.serve((_req, res) => resolve(res));
    const early = await open();
    const res = await promise;
    early.client.resetAndDestroy();
    await once(res, 'close');
    openOn(res);
    expect(closed).toBe(2);
    expect(streams.counts().open).toBe(0);
  });
});

describe('a client that does not take its data', () => {
  it('is cut off beyond the bound, and the others get everything', async () => {
    const [slow, fast] = await openMany(2);
    slow?.client.pause();
    const frame = eventFrame({ data: 'x'.repeat(256 * 1024) });
    // The buffers of the kernel take some of it.
    for (let sent = 0; sent < 200 && streams.counts().cut_off === 0; sent += 1) {
      const before = fast?.received().length ?? 0;
      streams.broadcast(frame);
      await eventually(() => (fast?.received().length ?? 0) >= before + frame.length);
    }
    await eventually(() => streams.counts().open === 1);
    expect(streams.counts().cut_off).toBe(1);
    streams.broadcast(eventFrame({ data: 'still here' }));
    await fast?.until('still here');
  });

  it('is cut off after two heartbeats if it takes nothing, and no other one is', async () => {
    start({ waiting_bytes: 1 << 30 }, 200);
    const [stuck, idle] = await openMany(2);
    stuck?.client.pause();
    streams.broadcast(eventFrame({ data: 'x'.repeat(16 * 1024 * 1024) }));
    while (streams.counts().open === 2) {
      vi.advanceTimersByTime(TICK_MS);
      await delay(20);
    }
    expect(streams.counts()).toMatchObject({ open: 1, cut_off: 1 });
    expect(idle?.client.closed).toBe(false);
  });

  it('cannot hold back the end of its stream', async () => {
    start({ waiting_bytes: 1 << 30 });
    const { client, until } = await open();
    await until(':\n\n');
    client.pause();
    streams.broadcast(eventFrame({ data: 'x'.repeat(16 * 1024 * 1024) }));
    streams.endAll();
    vi.advanceTimersByTime(2 * TICK_MS);
    expect(closed).toBe(0);
    vi.advanceTimersByTime(TICK_MS);
    await eventually(() => closed === 1);
  });
});

describe('the limits', () => {
  it('bound the streams of one principal and of all', async () => {
    start({ streams: 3, of_principal: 2 });
    const [first] = await openMany(2);
    await (await open()).until('rate_limited');
    options = { principal: 'other' };
    await (await open()).until(':\n\n');
    await (await open()).until('overloaded');
    expect(streams.counts()).toEqual({ open: 3, opened: 3, refused: 2, cut_off: 0 });
    first?.client.destroy();
    await eventually(() => streams.counts().open === 2);
    options = { principal: 'one' };
    await (await open()).until(':\n\n');
  });
});

describe('a thousand clients', () => {
  it('get every frame, leave abruptly, and leave nothing behind', async () => {
    const all = await openMany(1000);
    for (const id of ['1', '2', '3']) streams.broadcast(eventFrame({ id, data: 'same' }));
    await Promise.all(all.map(({ until }) => until('id: 3\ndata: same\n\n')));
    for (const { received } of all) expect(received().match(/^id: [123]$/gm)).toHaveLength(3);
    for (const { client } of all.slice(0, 500)) client.resetAndDestroy();
    await eventually(() => streams.counts().open === 500);
    streams.broadcast(eventFrame({ id: '4', data: 'same' }));
    await Promise.all(all.slice(500).map(({ until }) => until('id: 4\n')));
    await socket.stop();
    await Promise.all(all.map(({ ended }) => ended));
    expect(streams.counts()).toEqual({ open: 0, opened: 1000, refused: 0, cut_off: 0 });
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('a stop of the server', () => {
  it('ends all streams, and waits for no client', async () => {
    const [one, slow] = await openMany(2);
    slow?.client.pause();
    const stopped = socket.stop();
    await one?.ended;
    expect(one?.received()).toMatch(/0\r\n\r\n$/);
    await stopped;
    expect(streams.counts().open).toBe(0);
  });

  it('lets no request that waited for its token open a stream', async () => {
    const { promise, resolve } = Promise.withResolvers<ServerResponse>();
    await socket.stop();
    socket = await listen({ host: '127.0.0.1', port: 0 });
    socket.serve((_req, res) => resolve(res));
    const { received, ended } = await open();
    const res = await promise;
    const stopped = socket.stop();
    expect(() => streams.open(res, options)).toThrow(expect.objectContaining({ code: 'shutting_down' }));
    res.writeHead(503).end();
    await ended;
    await stopped;
    expect(received()).toContain('503');
    expect(streams.counts()).toMatchObject({ open: 0, refused: 1 });
  });
});
