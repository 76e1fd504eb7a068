import { once } from 'node:events';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createServer, type Server } from 'node:net';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { discover, explain } from '../../src/cli/auth/provider.ts';
import { type CertificateFault, makeCertificates } from '../support/certificates.ts';
import { runAlone } from './alone.ts';

/* What a person is told when the broker cannot be reached: with the errors of a real network. */

let server: Server | null = null;

let certificates: ReturnType<typeof makeCertificates>;

beforeAll(() => {
  certificates = makeCertificates();
});

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

async function ask(broker: string, fetches = fetch) {
  const env = { COUNTERSIGN_TOKEN: 'x', COUNTERSIGN_URL: broker };
  return runAlone(['whoami', '--json'], { fetch: fetches, env });
}

/** What a person is told whose identity provider cannot be reached. */
async function askProvider(issuer: string, fetches = fetch): Promise<string> {
  const provider = { issuer, client_id: 'countersign-cli' };
  const failed = explain(provider, () => discover({ fetch: fetches }, provider));
  return failed.then(
    () => expect.unreachable(),
    (error) => error.problem.detail,
  );
}

/** Serves over TLS with a certificate that has this fault. @returns its address */
async function serveTls(fault: CertificateFault): Promise<string> {
  server = createHttps(certificates[fault], (_req, res) => res.end('{}')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Takes connections, and sends so much of an answer before it stays silent. @returns its address */
async function serveSilence(begun: string): Promise<string> {
  server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => socket.write(begun));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Waits less long than a person would. */
const impatient: typeof fetch = (input, init) => fetch(input, { ...init, signal: AbortSignal.timeout(200) });

/** Waits less long for the headers than the person would: an option of the agent that fetch uses. */
const impatientForHeaders: typeof fetch = (input, init) => {
  const { constructor: Agent } = Reflect.get(globalThis, Symbol.for('undici.globalDispatcher.1'));
  const dispatcher = new Agent({ headersTimeout: 200 });
  return fetch(input, { ...init, dispatcher } as RequestInit);
};

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

describe.each([
  ['broker', async (at: string, fetches = fetch) => (await ask(at, fetches)).json.detail as string],
  ['identity provider', askProvider],
] as const)('the certificate or the silence of the %s', (_who, told) => {
  it.each([
    [
      'self-signed',
      /not trusted \(DEPTH_ZERO_SELF_SIGNED_CERT\); set NODE_EXTRA_CA_CERTS to the file of the CA/,
    ],
    [
      'untrusted',
      /not trusted \(UNABLE_TO_VERIFY_LEAF_SIGNATURE\); set NODE_EXTRA_CA_CERTS to the file of the CA/,
    ],
  ] as const)('%s: names the variable', async (fault, says) => {
    expect(await told(await serveTls(fault))).toMatch(says);
  });

  it.each([
    ['expired', /not valid now \(CERT_HAS_EXPIRED\); have it renewed, and check the clock/],
    [
      'other-name',
      /for another host name \(ERR_TLS_CERT_ALTNAME_INVALID\); use a name that the certificate has/,
    ],
  ] as const)('%s: says what to do, and not to trust the CA, which is trusted', async (fault, says) => {
    const before = getCACertificates();
    setDefaultCACertificates([certificates.ca]);
    try {
      const detail = await told(await serveTls(fault));
      expect(detail).toMatch(says);
      expect(detail).not.toContain('NODE_EXTRA_CA_CERTS');
    } finally {
      setDefaultCACertificates(before);
    }
  });

  it.each([
    ['takes the connection and never answers', '', impatient, 'TimeoutError'],
    ['never ends its headers', 'HTTP/1.1 200 OK\r\nContent', impatientForHeaders, 'UND_ERR_HEADERS_TIMEOUT'],
    [
      'never ends its body',
      'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{',
      impatient,
      'TimeoutError',
    ],
  ])('that %s: says so, and what to do', async (_what, begun, fetches, code) => {
    expect(await told(await serveSilence(begun), fetches)).toContain(
      `did not answer in time (${code}); check a firewall or proxy in between, then try again`,
    );
  });
});

describe('an archive of the broker that never ends', () => {
  it('is no error of the command line', async () => {
    const broker = await serveSilence(
      'HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 9\r\n\r\nx',
    );
    const { code, json } = await ask(broker, impatient);
    expect([code, json.code]).toEqual([1, 'broker_unreachable']);
  });
});
