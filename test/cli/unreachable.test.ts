import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer, type Server } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { runAlone } from './alone.ts';

/* What a person is told when the broker cannot be reached: with the errors of a real network. */

let server: Server | null = null;

afterEach(() => {
  server?.close();
  server = null;
});

/** Listens, and ends each connection so. @returns its port */
async function listen(end: 'reset' | 'nonsense'): Promise<number> {
  server = createServer((socket) => {
    socket.on('error', () => undefined);
    if (end === 'nonsense') socket.end('SSH-2.0-OpenSSH_9.9\r\n\r\n');
    else socket.once('data', () => socket.resetAndDestroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function ask(broker: string) {
  const env = { COUNTERSIGN_TOKEN: 'x', COUNTERSIGN_URL: broker };
  return runAlone(['whoami', '--json'], { fetch, env });
}

describe('a broker that cannot be reached', () => {
  it.each([
    ['resets the connection', 'reset', 'http', /it closed the connection \(\w+\); check http and https/],
    [
      'does not speak TLS',
      'nonsense',
      'https',
      /it does not speak TLS as expected \(\w+\); check http and https/,
    ],
  ] as const)('that %s: says so, and what to do', async (_what, end, scheme, says) => {
    const { code, json } = await ask(`${scheme}://127.0.0.1:${await listen(end)}`);
    expect([code, json.code, json.detail]).toEqual([1, 'broker_unreachable', expect.stringMatching(says)]);
    expect(json.detail).toContain('--broker or COUNTERSIGN_URL');
  });

  it('where nothing listens: says so, and what to do', async () => {
    const port = await listen('reset');
    server?.close();
    const { json } = await ask(`http://127.0.0.1:${port}`);
    expect(json.detail).toMatch(
      /nothing listens there \(ECONNREFUSED\); check that it is running, and its port/,
    );
  });

  it('whose name nobody knows: says so, and what to do', async () => {
    const { json } = await ask('http://countersign.invalid');
    expect(json.detail).toMatch(/its host name was not found \((ENOTFOUND|EAI_AGAIN)\); check the name/);
  });
});
