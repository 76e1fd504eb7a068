import { rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { startBroker } from '../src/broker.ts';
import { loadConfig } from '../src/config.ts';
import { createLog } from '../src/logger.ts';
import { startTestBroker, type TestBroker } from './support/broker.ts';

let t: TestBroker | null = null;

afterEach(async () => {
  await t?.close();
  t = null;
});

it('a later start needs no bundle file, whether it is missing or damaged', async () => {
  t = await startTestBroker();
  const { hash } = t.broker.policy;
  const file = join(t.folder, 'bundle.tar.gz');
  await rm(file);
  await t.restart();
  expect(t.broker.policy).toMatchObject({ kind: 'unreadable', hash });
  await writeFile(file, 'garbage');
  await t.restart();
  expect(t.broker.policy).toMatchObject({ kind: 'unreadable', hash });
  expect((await t.call('dana', 'GET', '/v1/requests')).status).toBe(200);
});

it('a start that fails after listening releases address and database', async () => {
  t = await startTestBroker();
  const config = loadConfig({ file: join(t.folder, 'countersign.yaml'), env: {} });
  const { port, origin } = new URL(t.url);
  const parts = { clock: t.clock, log: createLog('silent') };
  await t.broker.close();
  // A configuration that is read has each issuer once.
  const issuers = [...config.issuers, ...config.issuers];
  const broken = { ...config, listen: { ...config.listen, port: Number(port) }, issuers };
  await expect(startBroker({ config: broken, ...parts })).rejects.toThrow('configured twice');
  await expect(fetch(origin)).rejects.toThrow('fetch failed');
  t.broker = await startBroker({ config, ...parts });
});

it('a stop does not wait for ever for a client that has sent half a request', async () => {
  t = await startTestBroker();
  const { hostname, port } = new URL(t.url);
  const socket = connect(Number(port), hostname);
  const ended = new Promise((resolve) => socket.once('close', resolve));
  socket.on('error', () => undefined);
  await new Promise<void>((resolve) => {
    socket.once('connect', resolve);
  });
  socket.write(
    'POST /v1/requests HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{',
  );
  await new Promise((resolve) => setTimeout(resolve, 100));
  await t.broker.close();
  await ended;
  await t.restart().catch(() => undefined);
}, 30_000);

it('many freezes with long incidents still fit the headers of every answer', async () => {
  t = await startTestBroker();
  for (let place = 0; place < 10; place += 1) {
    const order = {
      scope: 'flag',
      flag: `f${place}`,
      yet_unknown: true,
      incident: '事'.repeat(200),
      reason: 'x',
    };
    expect((await t.call('riley+mfa', 'POST', '/v1/freezes', order)).status).toBe(201);
  }
  const { status, headers } = await t.call('riley', 'GET', '/v1/whoami');
  expect(status).toBe(200);
  expect(headers.get('countersign-freeze')).toContain('and 7 more');
});

it('a fault after a commit is logged with its cause, and the broker continues to write', async () => {
  const lines: string[] = [];
  t = await startTestBroker({ log: createLog('error', { write: (line: string) => lines.push(line) }) });
  const fault = new Error('the listener', { cause: new Error('of all things') });
  await t.broker.store.writer.write(async (_tx, afterCommit) => {
    afterCommit(() => {
      throw fault;
    });
  });
  expect(lines).toEqual([expect.stringContaining('of all things')]);
  expect((await t.call('dana', 'GET', '/v1/requests')).status).toBe(200);
  const order = { scope: 'all', incident: 'I-1', reason: 'x' };
  expect((await t.call('riley+mfa', 'POST', '/v1/freezes', order)).status).toBe(201);
});
