import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { afterAll, expect, it } from 'vitest';
import { canonicalJson } from '../../src/json.ts';
import { createBodyReader } from '../../src/relay/body-thread.ts';
import { bodyDigest, formatBody } from '../../src/snapshot/body.ts';
import { sampleDefinition, sampleState } from '../flags/samples.ts';

const started: Worker[] = [];
const reader = createBodyReader(() => {
  const worker = new Worker(new URL('../../src/relay/body-worker.ts', import.meta.url));
  started.push(worker);
  return worker;
});
afterAll(() => reader.close());

/** A body that is read in the thread. */
const KEYS = Array.from({ length: 600 }, (_, number) => `checkout.flag-${String(number).padStart(4, '0')}`);
const flags = KEYS.map((key) =>
  canonicalJson({ definition: sampleDefinition({ key }), state: sampleState(), version: 1 }),
);
const bytes = Buffer.from(formatBody('production', 7, flags));
const name = { environment: 'production', version: 7, digest: bodyDigest(bytes) };

it('reads bodies with one thread, and with another one after it has ended while it waited', async () => {
  expect(bytes.length).toBeGreaterThan(128 * 1024);
  for (const _ of [1, 2]) expect((await reader.read(bytes, name)).length).toBe(KEYS.length);
  expect(started).toHaveLength(1);

  const [first] = started as [Worker];
  await first.terminate();
  expect((await reader.read(bytes, name)).length).toBe(KEYS.length);

  const [, second] = started as [Worker, Worker];
  // What nobody waits for must not end the process.
  second.emit('error', new Error('out of memory'));
  await Promise.all([second.terminate(), once(second, 'exit')]);
  expect((await reader.read(bytes, name)).length).toBe(KEYS.length);
  expect(started).toHaveLength(3);
});

it('says what is wrong with a body, and reads the next one', async () => {
  const other = { ...name, digest: `sha256:${'0'.repeat(64)}` };
  await expect(reader.read(bytes, other)).rejects.toMatchObject({ code: 'body_other' });
  expect((await reader.read(bytes, name)).length).toBe(KEYS.length);
});
