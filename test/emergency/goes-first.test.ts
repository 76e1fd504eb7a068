import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { afterEach, expect, it, vi } from 'vitest';
import { listen } from '../../src/http/server.ts';
import { type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { createFlag, propose, readFlag } from '../support/flags.ts';
import { readLog } from '../support/log-oracle.ts';

/*
 * An emergency goes before everything that waits: in the writer, before it, at its limit of calls, and as a connection.
 */

let t: TestBroker | undefined;

afterEach(async () => {
  vi.restoreAllMocks();
  await t?.close();
  t = undefined;
});

const INCIDENT = { incident: 'INC-7', reason: 'payments fail' };

/** Keeps the writer busy until `release` is called, and counts the writes that wait behind it. */
async function holdWriter({ broker }: TestBroker) {
  const queued = vi.spyOn(broker.store.writer, 'write');
  let release: () => void = () => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const held = new Promise<void>((begun) => {
    void broker.store.writer.write(async () => {
      begun();
      await released;
    });
  });
  await held;
  queued.mockClear();
  return { queued, release };
}

const EMERGENCIES: [string, (t: TestBroker) => Promise<Reply>, string][] = [
  ['freeze', (t) => t.call('riley', 'POST', '/v1/freezes', { scope: 'all', ...INCIDENT }), 'freeze.engage'],
  ['break-glass session', (t) => t.call('riley+mfa', 'POST', '/v1/break-glass', INCIDENT), 'breakglass.open'],
  [
    'revocation',
    (t) => t.call('riley', 'POST', '/v1/revocations', { kind: 'subject', value: 'emp-1009', ...INCIDENT }),
    'revocation.add',
  ],
];

it.each(EMERGENCIES)(
  'a %s that comes last is committed before every write that waits',
  async (name, send, operation) => {
    t = await startTestBroker();
    const flag = await createFlag(t, 'plain', { tier: 'informational' });
    // More than may be in progress at once, so some wait before the writer.
    const { queued, release } = await holdWriter(t);
    const proposals = Array.from({ length: 150 }, () =>
      propose(t as TestBroker, [{ action: 'enable', flag }]),
    );
    await expect.poll(() => queued.mock.calls.length, { timeout: 20_000 }).toBe(100);
    const before = readLog(t.file).length;
    const emergency = send(t);
    await expect.poll(() => queued.mock.calls.length, { timeout: 20_000 }).toBe(101);
    release();
    expect((await emergency).status).toBe(201);
    const answers = await Promise.all(proposals);
    const [first, ...later] = readLog(t.file).slice(before);
    expect(first?.operation).toBe(operation);
    if (name === 'freeze') {
      expect(answers.every(({ body }) => body.gates?.[0]?.code === 'frozen')).toBe(true);
      expect(later.map((entry) => entry.result.effect)).toEqual(answers.map(() => 'deny'));
      expect((await readFlag(t, flag)).states.production.enabled).toBe(false);
    }
  },
);

it('a caller who has used up their calls may still freeze, within a limit of its own', async () => {
  t = await startTestBroker({ config: { calls_per_minute: 3 } });
  const statuses = async (send: () => Promise<Reply>) => {
    const answers: number[] = [];
    for (let count = 0; count < 4; count += 1) answers.push((await send()).status);
    return answers;
  };
  const freeze = () => (t as TestBroker).call('riley', 'POST', '/v1/freezes', { scope: 'all', ...INCIDENT });
  expect(await statuses(() => (t as TestBroker).call('riley', 'GET', '/v1/freezes'))).toEqual([
    200, 200, 200, 429,
  ]);
  expect(await statuses(freeze)).toEqual([201, 201, 201, 429]);
});

/** The kernel's own limit; systems without this file allow more than the test needs. */
function allowedBacklog(): number {
  try {
    return Number(readFileSync('/proc/sys/net/core/somaxconn', 'utf8'));
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

it('a burst of connections is completed while the broker is busy, so that no client must try again', async () => {
  const socket = await listen({ host: '127.0.0.1', port: 0 });
  const count = Math.min(1000, allowedBacklog());
  const connected = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(
    `const { connect } = require('node:net');
    const { workerData: { port, count, connected } } = require('node:worker_threads');
    let done = 0;
    for (let each = 0; each < count; each += 1) {
      connect(port, '127.0.0.1').on('connect', () => {
        done += 1;
        if (done < count) return;
        Atomics.store(connected, 0, 1);
        Atomics.notify(connected, 0);
      });
    }`,
    { eval: true, workerData: { port: Number(new URL(socket.url).port), count, connected } },
  );
  // This thread accepts nothing meanwhile: what does not fit into the backlog is never completed.
  const outcome = Atomics.wait(connected, 0, 0, 20_000);
  await worker.terminate();
  await socket.stop();
  expect(outcome).toBe('ok');
});
