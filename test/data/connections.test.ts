import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { claimsOf, liftWithTwo, revoke } from '../revocation/support.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { createFlag } from '../support/flags.ts';

/* One connection, many reads: what it has shown counts for as long as it would on a new one. */

const PATH = '/ofrep/v1/evaluate/flags';

let t: TestBroker;
let agent: Agent;
let token: string;

beforeEach(async () => {
  t = await startTestBroker();
  await createFlag(t, 'plain');
  agent = new Agent({ keepAlive: true, maxSockets: 1 });
  token = await t.workloadToken('checkout', { audience: 'data:production' });
  // Revocations of classes and rules count for what was issued before.
  t.clock.advance(1000);
});

afterEach(async () => {
  agent.destroy();
  await t.close();
});

/** Reads a flag on the one connection. @returns the status, and the port of the connection */
function read(path = `${PATH}/plain`): Promise<{ status: number; port: number | undefined }> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}` };
    const req = request(`${t.url}${path}`, { method: 'POST', agent, headers }, (res) => {
      const port = res.socket.localPort;
      res.resume().on('end', () => resolve({ status: res.statusCode ?? 0, port }));
    });
    req.on('error', reject).end();
  });
}

it('a revocation counts from its answer on, also on a connection that has read before', async () => {
  const { port } = await read();
  for (const path of [undefined, PATH]) expect(await read(path)).toEqual({ status: 200, port });
  const { body } = await revoke(t, 'token', `${t.url}#jti:${claimsOf(token).jti}`);
  for (const path of [undefined, PATH]) expect(await read(path)).toEqual({ status: 401, port });
  expect((await liftWithTwo(t, body.id)).body.state).toBe('applied');
  expect(await read()).toEqual({ status: 200, port });
  await revoke(t, 'trust_rule', 'checkout-service');
  expect(await read()).toEqual({ status: 401, port });
});

it('no read that begins after a revocation was answered succeeds, however many are under way', async () => {
  await read();
  let isRevoked = false;
  let isOver = false;
  const found: { begunAfter: boolean; status: number }[] = [];
  const reading = (async () => {
    while (!isOver) {
      const begunAfter = isRevoked;
      found.push({ begunAfter, status: (await read()).status });
    }
  })();
  expect((await revoke(t, 'class', 'workload')).status).toBe(201);
  isRevoked = true;
  await expect.poll(() => found.filter(({ begunAfter }) => begunAfter).length).toBeGreaterThan(5);
  isOver = true;
  await reading;
  expect(found[0]).toEqual({ begunAfter: false, status: 200 });
  expect(found.filter(({ begunAfter, status }) => begunAfter && status !== 401)).toEqual([]);
});

it('a token ends on its connection when it ends for everybody', async () => {
  const { exp } = claimsOf(token) as unknown as { exp: number };
  expect((await read()).status).toBe(200);
  // The tolerance for clocks that differ.
  t.clock.advance(exp * 1000 + 30_000 - 1 - t.clock());
  expect((await read()).status).toBe(200);
  t.clock.advance(1);
  expect((await read()).status).toBe(401);
});

describe('on one connection', () => {
  /** A body here ends without a line feed, so the next answer begins in its line. */
  function statusesIn(answers: string): number[] {
    return [...answers.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
  }

  /** Sends all of these at once. @returns the statuses of the answers, until the broker closes the connection */
  function statusesFor(headers: readonly (readonly string[])[]): Promise<number[]> {
    const messages = headers.map((values, place) =>
      [
        `POST ${PATH}/plain HTTP/1.1`,
        `Host: ${new URL(t.url).host}`,
        ...values.map((value) => `Authorization: ${value}`),
        ...(place === headers.length - 1 ? ['Connection: close'] : []),
        'Content-Length: 0',
        '',
        '',
      ].join('\r\n'),
    );
    return new Promise((resolve, reject) => {
      let answers = '';
      const socket = connect(Number(new URL(t.url).port), '127.0.0.1', () => socket.write(messages.join('')));
      socket.on('data', (chunk) => {
        answers += chunk.toString();
      });
      socket.on('error', reject);
      socket.on('close', () => resolve(statusesIn(answers)));
    });
  }

  it('two lines of Authorization are refused, and nothing behind them is answered', async () => {
    const good = `Bearer ${token}`;
    for (const twice of [
      [good, good],
      [good, 'Bearer x'],
      ['Bearer x', good],
    ]) {
      expect(await statusesFor([[good], [good], twice, [good]])).toEqual([200, 200, 400]);
    }
  });

  it('a header with other white space is the same token, and one with another scheme is not', async () => {
    const headers = [`Bearer ${token}`, `bearer    ${token}`, `DPoP ${token}`, `Bearer ${token}x`, token];
    const each = headers.map((header) => [header]);
    expect(await statusesFor([...each, ...each])).toEqual([200, 200, 401, 401, 401, 200, 200, 401, 401, 401]);
  });
});
