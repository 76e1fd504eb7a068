import { request } from 'node:http';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DataReader } from '../../src/data/credentials.ts';
import type { SnapshotFlag } from '../../src/data/snapshot.ts';
import { BrokerError } from '../../src/errors.ts';
import { exceptionUntil, NOW_MS, sampleDefinition, sampleState } from '../flags/samples.ts';
import { authenticateSample, type OfrepServer, startOfrepServer } from './ofrep-server.ts';

const ALL = '/ofrep/v1/evaluate/flags';
const NEW_FLOW = `${ALL}/checkout.new-flow`;

const someUntil = (untilMs: number) =>
  sampleState({
    audience: {
      kind: 'some',
      organizations: ['acme'],
      users: [{ id: 'ann', exception: exceptionUntil(untilMs) }],
    },
  });

function sampleFlags(): SnapshotFlag[] {
  return [
    { definition: sampleDefinition(), state: sampleState(), version: 3 },
    { definition: sampleDefinition({ key: 'pilot' }), state: someUntil(NOW_MS + 1000), version: 1 },
    { definition: sampleDefinition({ key: 'gone', retired: true }), state: sampleState(), version: 1 },
  ];
}

let server: OfrepServer;

beforeEach(async () => {
  server = await startOfrepServer(sampleFlags());
});

afterEach(async () => {
  await server.close();
});

describe('one flag', () => {
  it('is answered in the shape of OFREP', async () => {
    const res = await server.post(NEW_FLOW, { context: { targetingKey: 'ann' } });
    expect(res.status).toBe(200);
    expect(res.headers.get('content-type')).toBe('application/json');
    expect(res.headers.get('access-control-allow-origin')).toBe('*');
    expect(await res.json()).toEqual({
      key: 'checkout.new-flow',
      value: 'new',
      variant: 'on',
      reason: 'STATIC',
      metadata: { version: 3 },
    });
  });

  it.each([undefined, {}, { context: {} }, { context: { organization: 7 } }])(
    'takes the body %j',
    async (body) => {
      expect((await server.post(NEW_FLOW, body)).status).toBe(200);
    },
  );

  it('takes a percent-encoded key, a query and a key in X-API-Key', async () => {
    const res = await fetch(`${server.url}${ALL}/checkout%2Enew-flow?x=1`, {
      method: 'POST',
      headers: { 'X-API-Key': 'good' },
    });
    expect(res.status).toBe(200);
  });

  it('gets the same answer when it is retired as when it never existed', async () => {
    const [gone, none] = await Promise.all([server.post(`${ALL}/gone`, {}), server.post(`${ALL}/none`, {})]);
    expect([gone.status, none.status]).toEqual([404, 404]);
    const [goneBody, noneBody] = [await gone.text(), await none.text()];
    expect(goneBody.replaceAll('gone', 'none')).toBe(noneBody);
    expect(JSON.parse(noneBody)).toMatchObject({ key: 'none', errorCode: 'FLAG_NOT_FOUND' });
    expect([...gone.headers.keys()]).toEqual([...none.headers.keys()]);
  });

  it.each(['__proto__', 'constructor', 'toString', '%', '%ff', '%2e%2e%2f', 'a%00b', '💥'])(
    'is not found as %s',
    async (key) => {
      const res = await server.post(`${ALL}/${key}`, {});
      expect(res.status).toBe(404);
      expect(await res.json()).toMatchObject({ errorCode: 'FLAG_NOT_FOUND', key: expect.any(String) });
    },
  );

  it('is updated by a refresh, and served from the last snapshot until then', async () => {
    server.store.version = 2;
    server.store.flags = [
      { definition: sampleDefinition(), state: sampleState({ enabled: false }), version: 4 },
    ];
    expect(await (await server.post(NEW_FLOW)).json()).toMatchObject({ variant: 'on' });
    await server.snapshots.refresh('production');
    expect(await (await server.post(NEW_FLOW)).json()).toMatchObject({ variant: 'off', reason: 'DISABLED' });
  });
});

describe('hostile bodies', () => {
  const deep = (open: string, close: string, levels: number) => open.repeat(levels) + close.repeat(levels);

  it.each([
    ['no JSON', '{"context":', 'PARSE_ERROR'],
    ['a list', '[]', 'PARSE_ERROR'],
    ['null', 'null', 'PARSE_ERROR'],
    ['a context that is null', '{"context":null}', 'INVALID_CONTEXT'],
    ['a context that is a list', '{"context":[]}', 'INVALID_CONTEXT'],
    ['a prototype', '{"context":{"__proto__":{"organization":"acme"}}}', 'INVALID_CONTEXT'],
    ['a nested constructor', '{"context":{"a":[{"constructor":{"prototype":{"x":1}}}]}}', 'INVALID_CONTEXT'],
    ['a targetingKey that is no string', '{"context":{"targetingKey":{"toString":1}}}', 'INVALID_CONTEXT'],
    ['an escaped attribute', '{"context":{"organizatio\\u006e":"acme"}}', 'INVALID_CONTEXT'],
    ['an escaped context', '{"context\\u005F" :{}}', 'INVALID_CONTEXT'],
    ['30,000 lists', `{"context":{"a":${deep('[', ']', 30_000)}}}`, 'INVALID_CONTEXT'],
    ['5,000 objects', `{"context":{"a":${deep('{"a":', '', 5000)}1${'}'.repeat(5000)}}}`, 'INVALID_CONTEXT'],
  ])(
    'with %s are refused by both calls, with both codes that clients look for',
    async (_what, body, errorCode) => {
      const [single, bulk] = await Promise.all([server.post(NEW_FLOW, body), server.post(ALL, body)]);
      expect([single.status, bulk.status]).toEqual([400, 400]);
      expect(await single.json()).toMatchObject({ key: 'checkout.new-flow', errorCode });
      expect(await bulk.json()).toMatchObject({ errorCode });
      expect(Object.hasOwn(Object.prototype, 'x')).toBe(false);
      expect(server.logged).toEqual([]);
    },
  );

  it('with one malformed string evaluate as without it', async () => {
    const spoiled =
      '{"context":{"plan":"gold","a":"\\ud800","b":["x","\\udc00"],"c":{"\\ud800":1},"\\ud800":"x","targetingKey":"\\udfff"}}';
    for (const path of [NEW_FLOW, ALL]) {
      const [spoilt, clean] = await Promise.all([
        server.post(path, spoiled),
        server.post(path, { context: { plan: 'gold' } }),
      ]);
      expect(spoilt.status).toBe(200);
      expect(await spoilt.json()).toEqual(await clean.json());
    }
    expect(server.logged).toEqual([]);
  });

  it('that are not UTF-8 are refused', async () => {
    const res = await fetch(`${server.url}${NEW_FLOW}`, {
      method: 'POST',
      headers: { authorization: 'Bearer good', 'content-type': 'application/json' },
      body: Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]),
    });
    expect(res.status).toBe(400);
  });

  it('that tell another error code in the context are still contexts', async () => {
    const res = await server.post(NEW_FLOW, { context: { errorCode: 'X', fault: 1, context: 2 } });
    expect(res.status).toBe(200);
  });

  it('that announce too much are refused before they are read', async () => {
    const res = await server.post(NEW_FLOW, { context: { a: 'x'.repeat(70_000) } });
    expect(res.status).toBe(413);
    expect(await res.json()).toMatchObject({ key: 'checkout.new-flow', errorCode: 'GENERAL' });
  });

  it('that grow too much in chunks are refused as well', async () => {
    const status = await new Promise((resolve, reject) => {
      const headers = { authorization: 'Bearer good', 'content-type': 'application/json' };
      const req = request(`${server.url}${NEW_FLOW}`, { method: 'POST', headers }, (res) => {
        res.resume();
        resolve(res.statusCode);
      });
      req.on('error', reject);
      for (let count = 0; count < 9; count += 1) req.write('x'.repeat(8 * 1024));
    });
    expect(status).toBe(413);
  });

  it('that end early leave the server as it was', async () => {
    await new Promise<void>((resolve) => {
      const socket = connect(Number(new URL(server.url).port), '127.0.0.1', () => {
        socket.write(`POST ${NEW_FLOW} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{"con`, () =>
          socket.destroy(),
        );
      });
      socket.on('close', () => resolve());
    });
    expect((await server.post(NEW_FLOW, {})).status).toBe(200);
    expect(server.logged).toEqual([]);
  });

  it.each([
    [{ 'content-type': 'text/plain' }],
    [{ 'content-type': 'application/json; charset=utf-16' }],
    [{ 'content-type': 'application/jsonp' }],
    [{ 'content-encoding': 'gzip' }],
  ])('with headers %j are refused', async (headers) => {
    expect((await server.post(NEW_FLOW, {}, headers)).status).toBe(415);
    expect(
      (await server.post(NEW_FLOW, {}, { 'content-type': 'application/json; charset=utf-8' })).status,
    ).toBe(200);
  });
});

describe('a value that is not ASCII', () => {
  it.each(['é', 'grün', '日本', '🚩', '\ud83d'])('is answered whole: %j', async (text) => {
    const variants = { off: text, on: text };
    const targeted = { ...someUntil(NOW_MS + 5), default_variant: 'on' };
    server.store.version = 2;
    server.store.flags = [
      { definition: sampleDefinition({ key: 'fixed', variants }), state: sampleState(), version: 1 },
      { definition: sampleDefinition({ key: 'targeted', variants }), state: targeted, version: 1 },
    ];
    await server.snapshots.refresh('production');
    const paths = [`${ALL}/fixed`, `${ALL}/targeted`, ALL, ALL];
    for (const path of paths) {
      const res = await server.post(path, { context: { organization: 'acme' } });
      const body = Buffer.from(await res.arrayBuffer());
      expect(res.headers.get('content-length')).toBe(String(body.length));
      const answer = JSON.parse(body.toString()) as { flags?: { value: string }[]; value: string };
      for (const { value } of answer.flags ?? [answer]) expect(value).toBe(text);
    }
  });
});

describe('all flags', () => {
  const tagOf = async (context: object) => (await server.post(ALL, { context })).headers.get('etag');

  it('are answered together, without those that are retired', async () => {
    const res = await server.post(`${ALL}/`, { context: { organization: 'acme' } });
    const body = (await res.json()) as { flags: { key: string; variant: string }[] };
    expect(body).toMatchObject({ metadata: { environment: 'production', version: 1 } });
    expect(body.flags.map(({ key, variant }) => `${key} ${variant}`).sort()).toEqual([
      'checkout.new-flow on',
      'pilot on',
    ]);
    expect(res.headers.get('content-length')).toBe(String(Buffer.byteLength(JSON.stringify(body))));
  });

  it.each([
    ['none at all', []],
    ['only fixed ones', sampleFlags().slice(0, 1)],
    ['only contextual ones', sampleFlags().slice(1, 2)],
  ])('are well-formed with %s', async (_what, flags) => {
    server.store.version = 2;
    server.store.flags = flags;
    await server.snapshots.refresh('production');
    const body = (await (await server.post(ALL)).json()) as { flags: unknown[] };
    expect(body.flags).toHaveLength(flags.length);
  });

  it('agree with single answers', async () => {
    for (const context of [{}, { organization: 'acme' }, { targetingKey: 'ann' }]) {
      const body = (await (await server.post(ALL, { context })).json()) as { flags: { key: string }[] };
      for (const flag of body.flags) {
        expect(flag).toEqual(await (await server.post(`${ALL}/${flag.key}`, { context })).json());
      }
    }
  });

  it('have not changed for the same context, in whatever order it is written', async () => {
    const tag = await tagOf({ a: 1, b: { c: 2, d: 3 } });
    const headers = { 'if-none-match': `"other", W/${tag}` };
    const res = await server.post(ALL, '{"context":{"b":{"d":3,"c":2},"a":1}}', headers);
    expect(res.status).toBe(304);
    expect(res.headers.get('etag')).toBe(tag);
    expect(res.headers.get('access-control-expose-headers')).toContain('ETag');
    expect(await res.text()).toBe('');
  });

  it('are tagged by the whole context, not by the targetingKey alone', async () => {
    const contexts = [
      {},
      { targetingKey: 'ann' },
      { targetingKey: 'ann', plan: 'gold' },
      { targetingKey: 'ann', plan: 'free' },
    ];
    expect(new Set(await Promise.all(contexts.map(tagOf))).size).toBe(contexts.length);
  });

  it('have another tag once an exception is over, though nothing was written', async () => {
    const context = { targetingKey: 'ann' };
    const tag = await tagOf(context);
    server.time.nowMs = NOW_MS + 999;
    expect(await tagOf(context)).toBe(tag);
    server.time.nowMs = NOW_MS + 1000;
    const res = await server.post(ALL, { context }, { 'if-none-match': tag ?? '' });
    expect(res.status).toBe(200);
    const body = (await res.json()) as { flags: { key: string; variant: string }[] };
    expect(body.flags.find(({ key }) => key === 'pilot')?.variant).toBe('off');
  });

  it('have another tag after every version', async () => {
    const tag = await tagOf({});
    server.store.version = 2;
    await server.snapshots.refresh('production');
    expect(await tagOf({})).not.toBe(tag);
  });
});

describe('a reader of some namespaces', () => {
  const ofSearch = sampleDefinition({ key: 'search.new', namespace: 'search' });
  const reading = (...namespaces: string[]) => ({ authorization: `Bearer only:${namespaces.join(',')}` });

  async function keysFor(...namespaces: string[]): Promise<string[]> {
    const body = (await (await server.post(ALL, {}, reading(...namespaces))).json()) as {
      flags: { key: string }[];
    };
    return body.flags.map(({ key }) => key).sort();
  }

  beforeEach(async () => {
    server.store.version = 2;
    server.store.flags = [
      ...sampleFlags(),
      { definition: ofSearch, state: someUntil(NOW_MS + 5), version: 1 },
    ];
    await server.snapshots.refresh('production');
  });

  it('gets those flags and no others, one by one and all at once', async () => {
    expect(await keysFor('search')).toEqual(['search.new']);
    expect(await keysFor('checkout')).toEqual(['checkout.new-flow', 'pilot']);
    expect(await keysFor('search', 'checkout')).toEqual(['checkout.new-flow', 'pilot', 'search.new']);
    expect(await keysFor('*')).toEqual(await keysFor('checkout', 'search'));
    for (const none of ['', 'sear', 'search,', 'SEARCH', '__proto__'])
      expect(await keysFor(...none.split(';'))).toEqual(none === 'search,' ? ['search.new'] : []);
    expect((await server.post(`${ALL}/search.new`, {}, reading('search'))).status).toBe(200);
    expect((await server.post(NEW_FLOW, {}, reading('*'))).status).toBe(200);
  });

  it('finds a flag of another namespace as little as one that does not exist', async () => {
    const [other, none] = await Promise.all([
      server.post(`${ALL}/search.new`, {}, reading('checkout')),
      server.post(`${ALL}/search.non`, {}, reading('checkout')),
    ]);
    expect([other.status, none.status]).toEqual([404, 404]);
    expect((await other.text()).replaceAll('search.new', 'search.non')).toBe(await none.text());
    expect([...other.headers.keys()]).toEqual([...none.headers.keys()]);
  });

  it('is never told by the tag of other namespaces that nothing has changed', async () => {
    const tagFor = async (...namespaces: string[]) =>
      (await server.post(ALL, {}, reading(...namespaces))).headers.get('etag') ?? '';
    const tags = await Promise.all([
      tagFor('search'),
      tagFor('checkout'),
      tagFor('checkout', 'search'),
      tagFor('*'),
    ]);
    expect(new Set(tags).size).toBe(4);
    expect(await tagFor('search', 'checkout')).toBe(tags[2]);
    const headers = { ...reading('search'), 'if-none-match': tags[1] ?? '' };
    expect((await server.post(ALL, {}, headers)).status).toBe(200);
  });
});

describe('refusals', () => {
  it('without a token ask for one, in a body with both codes', async () => {
    for (const headers of [
      { authorization: 'Bearer bad' },
      { authorization: 'good' },
      { authorization: '' },
    ]) {
      const res = await server.post(NEW_FLOW, {}, headers);
      expect(res.status).toBe(401);
      expect(res.headers.get('www-authenticate')).toBe('Bearer');
      expect(await res.json()).toMatchObject({ key: 'checkout.new-flow', errorCode: 'GENERAL' });
    }
  });

  it('before the first snapshot are for a moment: 503, and never 401 or 404', async () => {
    const res = await server.post(NEW_FLOW, {}, { authorization: 'Bearer unknown' });
    expect(res.status).toBe(503);
    expect(res.headers.get('retry-after')).toBe('1');
  });

  it('of other methods say which ones there are', async () => {
    for (const method of ['GET', 'PUT', 'DELETE']) {
      const res = await fetch(`${server.url}${ALL}`, { method });
      expect([res.status, res.headers.get('allow')]).toEqual([405, 'POST, OPTIONS']);
    }
  });

  it('may carry the headers of tracing from a browser', async () => {
    const preflight = await fetch(`${server.url}${ALL}`, {
      method: 'OPTIONS',
      headers: {
        origin: 'https://app.example',
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,baggage,content-type,traceparent,tracestate',
      },
    });
    const allowed = preflight.headers.get('access-control-allow-headers')?.toLowerCase().split(', ');
    expect(allowed).toEqual(
      expect.arrayContaining(['authorization', 'content-type', 'traceparent', 'tracestate', 'baggage']),
    );
  });

  it('of other OFREP paths are 404, and other paths are left to others', async () => {
    for (const path of ['/ofrep/v1/configuration', `${ALL}x`, `${ALL}/a/b`, '/ofrep/']) {
      expect((await server.post(path)).status).toBe(404);
    }
    expect((await server.post('/v1/flags')).status).toBe(418);
    expect((await server.post('/ofrep')).status).toBe(418);
  });

  it('of a preflight do not happen: any origin may ask with a token', async () => {
    const res = await fetch(`${server.url}${ALL}`, { method: 'OPTIONS' });
    expect(res.status).toBe(204);
    for (const name of ['Authorization', 'If-None-Match', 'X-API-Key', 'Content-Type']) {
      expect(res.headers.get('access-control-allow-headers')).toContain(name);
    }
  });

  it('are counted with their status', async () => {
    await (await server.post(NEW_FLOW, {})).text();
    await (await server.post(ALL, '[]')).text();
    expect(server.answered).toEqual(['single 200', 'bulk 400']);
  });
});

describe('authentication that takes time or fails', () => {
  async function statusWith(authenticate: () => never | Promise<DataReader>) {
    const other = await startOfrepServer(sampleFlags(), authenticate);
    const res = await other.post(NEW_FLOW, { context: {} });
    const seen = {
      status: res.status,
      retryAfter: res.headers.get('retry-after'),
      body: await res.text(),
      logged: other.logged.length,
    };
    await other.close();
    return seen;
  }

  it('is waited for', async () => {
    expect(await statusWith(async () => authenticateSample({ authorization: 'Bearer good' }))).toMatchObject({
      status: 200,
    });
    expect(await statusWith(async () => authenticateSample({}))).toMatchObject({
      status: 401,
      logged: 0,
    });
  });

  it('tells when to come back in whole seconds, whatever it was given', async () => {
    const limited = (value?: string) => async () => {
      throw new BrokerError(
        'rate_limited',
        'Slow down.',
        value === undefined ? {} : { headers: { 'Retry-After': value } },
      );
    };
    expect(await statusWith(limited('17'))).toMatchObject({ status: 429, retryAfter: '17' });
    expect(await statusWith(limited(new Date(NOW_MS + 4500).toISOString()))).toMatchObject({
      status: 429,
      retryAfter: '5',
    });
    expect(await statusWith(limited('soon'))).toMatchObject({ status: 429, retryAfter: '1' });
    expect(await statusWith(limited())).toMatchObject({ status: 429, retryAfter: '1' });
  });

  it('fails without telling why, and logs it', async () => {
    for (const fail of [
      () => {
        throw new Error('secret cause');
      },
      async () => Promise.reject(new Error('secret cause')),
    ]) {
      const seen = await statusWith(fail);
      expect(seen).toMatchObject({ status: 500, logged: 1 });
      expect(JSON.parse(seen.body)).toMatchObject({ key: 'checkout.new-flow', errorCode: 'GENERAL' });
      expect(seen.body).not.toContain('secret');
    }
  });
});
