import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requestKinds } from '../../src/requests/kinds/kinds.ts';
import { listRoutes } from '../../src/routes.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { countRows, createFlag } from '../support/flags.ts';
import { askRaw, statusesOf } from '../support/raw.ts';

/* What is refused before any route sees it: messages with two meanings, and messages for somebody else. */

const calls = listRoutes(requestKinds).map(({ method, path, format }) => ({ method, path, format }));

let t: TestBroker;
let here: string;
let dana: string;
let reader: string;
let responder: string;

beforeAll(async () => {
  t = await startTestBroker({
    config: { public_url: 'https://countersign.example', hosts: ['flags.internal', 'Other.Internal:8480'] },
  });
  here = new URL(t.url).host;
  dana = await t.people.idToken('dana');
  responder = await t.people.idToken('riley', { mfa: true });
  reader = await t.workloadToken('checkout', { audience: 'data:development' });
  await createFlag(t, 'checkout');
});
afterAll(() => t.close());

/** A request that succeeds, unless a line that is added to it or that takes the place of one changes that. */
function read(lines: readonly string[], first = 'GET /v1/flags/checkout HTTP/1.1'): string[] {
  const host = lines.some((line) => /^host:/i.test(line)) ? [] : [`Host: ${here}`];
  return [first, ...host, `Authorization: Bearer ${dana}`, ...lines, '', ''];
}

/** A change that would be written. */
function propose(lines: readonly string[], version = '1.1'): string[] {
  const body = JSON.stringify({
    kind: 'flag.change',
    environment: 'development',
    reason: 'A test of HTTP.',
    changes: [{ action: version === '1.0' ? 'enable' : 'disable', flag: 'checkout' }],
  });
  const framing = lines.some((line) => /^transfer-encoding:/i.test(line))
    ? []
    : [`Content-Length: ${body.length}`];
  const sent = framing.length > 0 ? body : `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
  return [
    ...read(
      ['Content-Type: application/json', ...framing, ...lines],
      `POST /v1/requests HTTP/${version}`,
    ).slice(0, -2),
    '',
    sent,
  ];
}

/** The JSON document of an answer. */
function bodyOf(answer: string): { code?: string } {
  return JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')));
}

/** A second request, which must have no effect after an ambiguous one: it may be a part of that one. */
function next(): string {
  const order = JSON.stringify({ scope: 'all', incident: 'INC-next', reason: 'A test of HTTP.' });
  const head = ['Content-Type: application/json', `Content-Length: ${order.length}`];
  return read(head, 'POST /v1/freezes HTTP/1.1').join('\r\n').replace(dana, responder) + order;
}

async function expectRefusedAndClosed(lines: readonly string[]): Promise<string> {
  const before = await countRows(t);
  const answer = await askRaw(t.url, [...lines.slice(0, -1), `${lines.at(-1)}${next()}`]);
  expect(statusesOf(answer), answer).toEqual([400]);
  expect(answer).toMatch(/^connection: close\r$/im);
  expect(await countRows(t)).toEqual(before);
  return answer;
}

describe('a header that has one value, on two lines (RFC 9110 5.3, RFC 9112 3.2)', () => {
  it.each([
    ['Host', 'Host: 127.0.0.1', 'Host: evil.example'],
    ['Host in another case', 'Host: 127.0.0.1', 'hOST: 127.0.0.1'],
    ['Authorization', 'Authorization: Bearer x'],
    ['Authorization, empty', 'authorization:'],
    ['Cookie', 'Cookie: a=1', 'Cookie: b=2'],
    ['Content-Type', 'Content-Type: text/plain', 'Content-Type: application/json'],
    ['Content-Length', 'Content-Length: 0', 'Content-Length: 0'],
    ['Idempotency-Key', 'Idempotency-Key: a', 'Idempotency-Key: b'],
    ['Origin', 'Origin: https://a.example', 'Origin: https://b.example'],
    ['Sec-Fetch-Site', 'Sec-Fetch-Site: none', 'Sec-Fetch-Site: cross-site'],
  ])('%s: 400, and the connection is closed', async (_name, ...lines) => {
    await expectRefusedAndClosed(read(lines));
  });

  it('writes nothing', async () => {
    await expectRefusedAndClosed(propose(['Authorization: Bearer x']));
    await expectRefusedAndClosed(propose(['Idempotency-Key: a', 'Idempotency-Key: b']));
  });

  it('is refused in the format of its place', async () => {
    const twice = ['Authorization: Bearer x', 'Content-Length: 0'];
    const problem = await expectRefusedAndClosed(read(twice));
    expect(bodyOf(problem).code).toBe('ambiguous_request');
    expect(problem).toMatch(/^x-request-id: /im);
    const oauth = await expectRefusedAndClosed(read(twice, 'POST /oauth/token HTTP/1.1'));
    expect(oauth).toContain('"error":"invalid_request"');
    const scim = await expectRefusedAndClosed(read(twice, 'GET /scim/v2/Users HTTP/1.1'));
    expect(scim).toContain('urn:ietf:params:scim:api:messages:2.0:Error');
  });

  it.each([
    ['Authorization', [`Authorization: Bearer {reader}`, 'Authorization: Bearer x']],
    ['X-API-Key', ['X-API-Key: {reader}', 'X-API-Key: x']],
  ])('%s is refused at OFREP, too', async (_name, lines) => {
    const first = ['POST /ofrep/v1/evaluate/flags HTTP/1.1', `Host: ${here}`, 'Content-Length: 0'];
    const sent = lines.map((line) => line.replace('{reader}', reader));
    expect(statusesOf(await askRaw(t.url, [...first, sent[0] ?? '', '', '']))).toEqual([200]);
    expect(await expectRefusedAndClosed([...first, ...sent, '', ''])).toContain('"errorCode":"GENERAL"');
  });

  it('may be a list: two lines of If-None-Match, or of X-Forwarded-For', async () => {
    const lines = [
      'If-None-Match: "a"',
      'If-None-Match: "b"',
      'X-Forwarded-For: 1.1.1.1',
      'X-Forwarded-For: 2.2.2.2',
    ];
    expect(statusesOf(await askRaw(t.url, read(lines)))).toEqual([200]);
  });
});

describe('a body whose end two servers see in two places (RFC 9112 6.1)', () => {
  it.each([
    ['HTTP/1.0 with Transfer-Encoding', ['Transfer-Encoding: chunked'], '1.0'],
    ['two transfer codings', ['Transfer-Encoding: gzip, chunked'], '1.1'],
    ['chunked twice', ['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'], '1.1'],
    ['a coding that is not the last', ['Transfer-Encoding: chunked, identity'], '1.1'],
    ['Content-Length and Transfer-Encoding', ['Transfer-Encoding: chunked', 'Content-Length: 5'], '1.1'],
  ])('%s: 400, and the connection is closed', async (_name, lines, version) => {
    await expectRefusedAndClosed(propose(lines, version));
  });

  it('is read where there is one end: a length, or chunks of HTTP/1.1', async () => {
    expect(statusesOf(await askRaw(t.url, propose([], '1.0')))).toEqual([201]);
    expect(statusesOf(await askRaw(t.url, propose(['Transfer-Encoding: Chunked'])))).toEqual([201]);
  });
});

describe('a host (RFC 9110 7.4)', () => {
  it.each([
    'countersign.example',
    'Countersign.Example:443',
    'flags.internal',
    'flags.internal:1234',
    'other.internal:8480',
  ])('%s is served: public_url, or listed', async (host) => {
    expect(statusesOf(await askRaw(t.url, read([`Host: ${host}`])))).toEqual([200]);
  });

  it('is served where it is the address at which the connection arrived, as probes send it', async () => {
    for (const host of [here, '127.0.0.1', 'localhost', `localhost:1`]) {
      expect(statusesOf(await askRaw(t.url, read([`Host: ${host}`]))), host).toEqual([200]);
    }
    expect(statusesOf(await askRaw(t.url, ['GET /healthz HTTP/1.0', '', '']))).toEqual([200]);
  });

  it.each([
    'evil.example',
    'countersign.example.evil.example',
    'countersign.example:8443',
    'countersign.example.',
    'other.internal',
    'other.internal:80',
    '127.0.0.2',
    '[::1]',
    '10.0.0.1',
    '',
  ])('%j is misdirected: 421 in every place, and nothing is written', async (host) => {
    const before = await countRows(t);
    for (const lines of [
      read([`Host: ${host}`]),
      propose([`Host: ${host}`]),
      read([`Host: ${host}`, 'Content-Length: 0'], 'POST /oauth/token HTTP/1.1'),
      read([`Host: ${host}`, 'Content-Length: 0'], 'POST /ofrep/v1/evaluate/flags HTTP/1.1'),
      read([`Host: ${host}`], 'GET /healthz HTTP/1.1'),
    ]) {
      expect(statusesOf(await askRaw(t.url, lines)), lines[0]).toEqual([421]);
    }
    expect(await countRows(t)).toEqual(before);
    expect(bodyOf(await askRaw(t.url, read([`Host: ${host}`]))).code).toBe('misdirected_request');
  });

  // Whether an answer has the format that its call declares is judged when the broker closes.
  it.each(calls)('is misdirected in every call: $method $path', async ({ method, path, format }) => {
    const target = path.replaceAll(/\{\w+\}/g, 'x');
    const lines = read(['Host: evil.example', 'Content-Length: 0'], `${method} ${target} HTTP/1.1`);
    // OpenID Connect Back-Channel Logout 1.0 section 2.8 knows only 400.
    expect(statusesOf(await askRaw(t.url, lines))).toEqual([format === 'logout' ? 400 : 421]);
  });

  it.each([
    'a b',
    'user@countersign.example',
    'countersign.example/',
    'http://countersign.example',
    '127.0.0.1:x',
    '[::1',
  ])('%j is none: 400 (RFC 9112 3.2)', async (host) => {
    await expectRefusedAndClosed(read([`Host: ${host}`]));
  });
});

describe('a target in absolute form (RFC 9112 3.2.2)', () => {
  it('is served where its authority is, whatever Host says', async () => {
    for (const authority of [here, 'countersign.example', 'FLAGS.internal:99']) {
      for (const host of [authority, 'evil.example']) {
        const first = `GET http://${authority}/v1/flags/checkout HTTP/1.1`;
        expect(statusesOf(await askRaw(t.url, read([`Host: ${host}`], first))), authority).toEqual([200]);
      }
    }
    const first = `POST http://${here}/ofrep/v1/evaluate/flags HTTP/1.1`;
    const lines = [first, `Host: ${here}`, `Authorization: Bearer ${reader}`, 'Content-Length: 0', '', ''];
    expect(statusesOf(await askRaw(t.url, lines))).toEqual([200]);
  });

  it.each(['http://evil.example', 'https://evil.example:443', 'http://evil.example:80?', 'http://127.0.0.2'])(
    'with the foreign authority of %s is misdirected: 421',
    async (origin) => {
      const first = `GET ${origin}/v1/flags/checkout HTTP/1.1`;
      expect(statusesOf(await askRaw(t.url, read([], first)))).toEqual([421]);
    },
  );

  it('with user information or another scheme is refused: 400', async () => {
    for (const target of [
      `http://${here}@evil.example/`,
      `http://user@${here}/healthz`,
      `ftp://${here}/healthz`,
    ]) {
      const answer = await askRaw(t.url, read([], `GET ${target} HTTP/1.1`));
      expect(statusesOf(answer), target).toEqual([400]);
    }
  });
});

describe('a target with a fragment (RFC 9112 3.2)', () => {
  it('is no other name of a path: 400, and the connection is closed', async () => {
    await expectRefusedAndClosed(read([], 'GET /v1/flags/checkout#x HTTP/1.1'));
  });
});

describe('another spelling of a path (RFC 3986 6.2.2.1)', () => {
  it.each([
    '/V1/Requests',
    '/v1/Requests',
    '/v1/requests/',
    '/v1//requests',
    '//v1/requests',
    '/v1/%72equests',
    '/OAuth/token',
    '/oauth/Token',
    '/SCIM/v2/Users',
    '/scim/v2/users',
    '/Auth/sign-in',
    '/OFREP/v1/evaluate/flags',
    '/ofrep/V1/evaluate/flags',
    '/ofrep/v1/evaluate/Flags',
    '/Healthz',
  ])('%s is not found, for reading and for writing', async (path) => {
    for (const method of ['GET', 'POST']) {
      const answer = await askRaw(t.url, read(['Content-Length: 0'], `${method} ${path} HTTP/1.1`));
      expect(statusesOf(answer), method).toEqual([404]);
    }
  });
});
