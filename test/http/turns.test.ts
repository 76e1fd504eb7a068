import { EventEmitter, once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { expect, it } from 'vitest';
import { BrokerError } from '../../src/errors.ts';
import { createTurns } from '../../src/http/turns.ts';
import type { Lane } from '../../src/operations.ts';

/*
 * Turns, with work that the test ends: nothing depends on time.
 */

const FEW = { in_progress: 1, waiting: 2, waiting_bytes: 100 };

function createBench() {
  const turns = createTurns({ ordinary: FEW, emergency: FEW });
  const begun: string[] = [];
  const ends = new Map<string, (error?: Error) => void>();
  /** Sends a call; resolves with the code of its refusal. */
  const send = (name: string, lane: Lane, bytes = 0, res = new EventEmitter()): Promise<string | null> => {
    const req = { headers: { 'content-length': String(bytes) } } as unknown as IncomingMessage;
    const served = turns.inTurn(lane, { req, res: res as unknown as ServerResponse }, async () => {
      begun.push(name);
      await new Promise<void>((resolve, reject) => {
        ends.set(name, (error) => (error === undefined ? resolve() : reject(error)));
      });
    });
    return served.then(
      () => null,
      (error: unknown) => (error instanceof BrokerError ? error.code : String(error)),
    );
  };
  const end = async (name: string, error?: Error) => {
    ends.get(name)?.(error);
    await once(setTick(), 'done');
  };
  return { turns, begun, send, end };
}

/** Lets everything that is resolved go on. */
function setTick(): EventEmitter {
  const tick = new EventEmitter();
  setImmediate(() => tick.emit('done'));
  return tick;
}

it('serves the calls of a lane in turn, also after one that failed', async () => {
  const { begun, send, end } = createBench();
  const answers = [send('a', 'ordinary'), send('b', 'ordinary'), send('c', 'ordinary')];
  await end('none');
  expect(begun).toEqual(['a']);
  await end('a', new Error('failed'));
  expect(begun).toEqual(['a', 'b']);
  await end('b');
  await end('c');
  expect(begun).toEqual(['a', 'b', 'c']);
  expect(await Promise.all(answers)).toEqual(['Error: failed', null, null]);
});

it('begins an emergency although every ordinary turn is taken', async () => {
  const { turns, begun, send, end } = createBench();
  for (const name of ['a', 'b', 'c']) void send(name, 'ordinary');
  void send('freeze', 'emergency');
  await end('none');
  expect(begun).toEqual(['a', 'freeze']);
  expect(turns.calls()).toEqual([
    { lane: 'ordinary', state: 'in_progress', count: 1 },
    { lane: 'ordinary', state: 'waiting', count: 2 },
    { lane: 'emergency', state: 'in_progress', count: 1 },
    { lane: 'emergency', state: 'waiting', count: 0 },
  ]);
});

it('refuses what it has no room for, and takes calls again afterwards', async () => {
  const { begun, send, end } = createBench();
  void send('a', 'ordinary');
  void send('large', 'ordinary', 90);
  expect(await send('larger', 'ordinary', 20)).toBe('overloaded');
  void send('b', 'ordinary');
  expect(await send('c', 'ordinary')).toBe('overloaded');
  for (const name of ['a', 'large', 'b']) await end(name);
  void send('d', 'ordinary', 100);
  await end('d');
  expect(begun).toEqual(['a', 'large', 'b', 'd']);
});

it('drops a call whose client has left while it waited', async () => {
  const { turns, begun, send, end } = createBench();
  void send('a', 'ordinary');
  const res = new EventEmitter();
  const left = send('left', 'ordinary', 100, res);
  await end('none');
  res.emit('close');
  expect(await left).toBeNull();
  void send('b', 'ordinary', 100);
  await end('a');
  await end('b');
  expect(begun).toEqual(['a', 'b']);
  expect(turns.calls().every(({ count }) => count === 0)).toBe(true);
});
