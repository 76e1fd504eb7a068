import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { countRows, createFlag } from '../support/flags.ts';
import { sendRaw } from '../support/raw.ts';

let t: TestBroker;

beforeAll(async () => {
  t = await startTestBroker();
  await createFlag(t, 'checkout');
});

afterAll(() => t.close());

const raw = (lines: string[]): Promise<string> => sendRaw(t.url, lines);

describe('a path', () => {
  it.each([
    '/v1',
    '/v1/',
    '/v2/requests',
    '/v1/requests/x/y/z',
    '/admin',
    '/v1/flags/checkout/state',
    '/.env',
  ])('%s that does not exist is not found, as a problem document', async (path) => {
    const { status, body, headers } = await t.call('dana', 'GET', path);
    expect({ status, code: body.code }).toEqual({ status: 404, code: 'not_found' });
    expect(headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(body).toMatchObject({ type: 'https://countersign.dev/problems/not_found', status: 404 });
  });

  it.each(['/v1/flags/%', '/v1/flags/%E0%A4%A', '/v1/flags/%ff', '/v1/requests/%c0%af', '/%'])(
    '%s that does not decode is refused and never a fault',
    async (path) => {
      const { status } = await t.call('dana', 'GET', path);
      expect([400, 404]).toContain(status);
    },
  );

  it.each(['PUT', 'DELETE', 'PATCH', 'PROPFIND'])('does not take %s where no route does', async (method) => {
    const before = await countRows(t);
    for (const path of ['/v1/requests', '/v1/flags/checkout', '/v1/freezes', '/v1/decisions']) {
      const { status, body, headers } = await t.call('dana', method, path, {});
      expect([status, body.code]).toEqual([405, 'method_not_allowed']);
      expect(headers.get('allow')).toMatch(/GET/);
    }
    expect(await countRows(t)).toEqual(before);
  });
});

describe('an answer', () => {
  it('has an id that the caller may choose when it is a UUID, and otherwise gets', async () => {
    const id = '0190b6ac-1111-7000-8000-00000000000a';
    const echoed = await t.call('dana', 'GET', '/v1/flags/none', undefined, { 'X-Request-Id': id });
    expect(echoed.body.instance).toBe(`urn:uuid:${id}`);
    for (const sent of ['x', `${id}0`, id.toUpperCase(), '<script>']) {
      const { headers } = await t.call('dana', 'GET', '/healthz', undefined, { 'X-Request-Id': sent });
      expect(headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
      expect(headers.get('x-request-id')).not.toBe(sent);
    }
  });

  it('tells browsers to frame, sniff and run nothing, and does not name its software', async () => {
    const { headers } = await t.call(null, 'GET', '/healthz');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('content-security-policy')).toContain("default-src 'self'");
    expect(headers.get('x-powered-by')).toBeNull();
    expect(headers.get('server')).toBeNull();
  });

  it('needs a token wherever anything of the installation would show', async () => {
    for (const path of [
      '/v1/requests',
      '/v1/flags?environment=production',
      '/v1/flags/checkout',
      '/v1/freezes',
      '/v1/break-glass',
      '/v1/decisions',
    ]) {
      for (const who of [null, 'not.a.token']) {
        const { status, headers } = await t.call(who, 'GET', path);
        expect(status).toBe(401);
        expect(headers.get('www-authenticate')).toMatch(/^Bearer/);
      }
    }
  });
});

describe('bytes that are not HTTP', () => {
  it.each([
    [
      'two Content-Length',
      ['POST /v1/requests HTTP/1.1', 'Host: 127.0.0.1', 'Content-Length: 2', 'Content-Length: 3', '', '{}'],
    ],
    [
      'Content-Length beside Transfer-Encoding',
      [
        'POST /v1/requests HTTP/1.1',
        'Host: 127.0.0.1',
        'Content-Length: 2',
        'Transfer-Encoding: chunked',
        '',
        '0',
        '',
        '',
      ],
    ],
    [
      'a bad chunk',
      ['POST /v1/requests HTTP/1.1', 'Host: 127.0.0.1', 'Transfer-Encoding: chunked', '', 'zz', '{}', ''],
    ],
    ['a header with a null', ['GET /healthz HTTP/1.1', 'Host: 127.0.0.1', 'X-A: a\u0000b', '', '']],
    ['a space before the colon', ['GET /healthz HTTP/1.1', 'Host : x', '', '']],
    ['a line folding', ['GET /healthz HTTP/1.1', 'Host: 127.0.0.1', 'X-A: a', ' b', '', '']],
    [
      'headers without end',
      ['GET /healthz HTTP/1.1', 'Host: 127.0.0.1', `X-A: ${'a'.repeat(100_000)}`, '', ''],
    ],
    ['no host', ['GET /healthz HTTP/1.1', '', '']],
  ])('with %s are answered with an error or nothing', async (_name, lines) => {
    const before = await countRows(t);
    expect(await raw(lines)).not.toMatch(/^HTTP\/1\.1 2/);
    expect(await countRows(t)).toEqual(before);
    expect((await t.call(null, 'GET', '/healthz')).status).toBe(200);
  });

  it('that end in the middle of a body write nothing', async () => {
    const before = await countRows(t);
    const token = await t.people.idToken('dana');
    await raw([
      'POST /v1/requests HTTP/1.1',
      'Host: 127.0.0.1',
      `Authorization: Bearer ${token}`,
      'Content-Type: application/json',
      'Content-Length: 500',
      '',
      '{"environment":',
    ]);
    expect(await countRows(t)).toEqual(before);
  });
});

describe('health', () => {
  it('is answered to anybody: alive, ready, and its numbers', async () => {
    expect((await t.call(null, 'GET', '/healthz')).body).toEqual({ status: 'ok' });
    expect((await t.call(null, 'GET', '/readyz')).body).toMatchObject({
      status: 'ready',
      checks: { store: 'ok' },
    });
    const metrics = await fetch(`${t.url}/metrics`);
    expect(metrics.status).toBe(200);
    expect(await metrics.text()).not.toMatch(/checkout|emp-1001|dana/);
  });
});

describe('a principal that calls too often', () => {
  it('is told to wait, alone', async () => {
    const limited = await startTestBroker({ config: { calls_per_minute: 5 } });
    const calls = await Promise.all(
      Array.from({ length: 8 }, () => limited.call('dana', 'GET', '/v1/freezes')),
    );
    expect(calls.filter((answer) => answer.status === 200)).toHaveLength(5);
    const refused = calls.filter((answer) => answer.status === 429);
    expect(refused).toHaveLength(3);
    expect(refused[0]?.body.code).toBe('rate_limited');
    expect(Number(refused[0]?.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await limited.call('alex', 'GET', '/v1/freezes')).status).toBe(200);
    await limited.close();
  });
});
