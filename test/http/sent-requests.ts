import { gzipSync } from 'node:zlib';
import fc from 'fast-check';

/* Requests as bytes: plain ones, and those that two readers could understand differently. */

export const FIXED_ID = '0190b6ac-1111-7000-8000-00000000000a';
export const UNKNOWN = '00000000-0000-4000-8000-000000000000';

/** One request, as bytes. `{token}`, `{host}` and `{request}` stand for what differs between the brokers. */
export interface Sent {
  method: string;
  target: string;
  headers?: readonly string[];
  body?: string | Buffer;
  /** The connection ends behind the bytes. */
  cutOff?: true;
}

/** A request of dana's with a JSON body. */
export const json = (
  target: string,
  body: unknown,
  headers: readonly string[] = [],
  method = 'POST',
): Sent => {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return {
    method,
    target,
    headers: [
      'Authorization: Bearer {token}',
      'Content-Type: application/json',
      `Content-Length: ${Buffer.byteLength(text)}`,
      ...headers,
    ],
    body: text,
  };
};

export const get = (target: string, ...headers: string[]): Sent => ({
  method: 'GET',
  target,
  headers: ['Authorization: Bearer {token}', ...headers],
});

export const toggle = (action: string, fields: object = {}) => ({
  environment: 'development',
  reason: 'both ways',
  changes: [{ action, flag: 'checkout' }],
  ...fields,
});

/** A body that parsers read differently, or not at all. */
export const enable = JSON.stringify(toggle('enable'));
export const BODIES: [string, Sent][] = [
  ['cut off JSON', json('/v1/requests', enable.slice(0, -1))],
  ['duplicate members', json('/v1/requests', `{"reason":"a",${enable.slice(1)}`)],
  ['an inexact number', json('/v1/requests', '{"start_ms":9007199254740993}')],
  ['a number that overflows', json('/v1/requests', '1e999')],
  ['a prototype', json('/v1/requests', '{"__proto__":{}}')],
  ['a list', json('/v1/requests', '[]')],
  ['text', json('/v1/requests', '"x"')],
  ['null', json('/v1/requests', 'null')],
  ['white space', json('/v1/requests', ' \r\n\t ')],
  ['no bytes', json('/v1/requests', '')],
  ['no bytes where none are needed', json(`/v1/requests/${UNKNOWN}/apply`, '')],
  ['a byte order mark', json('/v1/requests', `\uFEFF${enable}`)],
  ['a nested list', json('/v1/requests', `${'['.repeat(100)}${']'.repeat(100)}`)],
  ['too much', json('/v1/requests', `"${'x'.repeat(256 * 1024)}"`)],
  ['as much as may be', json('/v1/requests', `{"reason":"${'x'.repeat(256 * 1024 - 13)}"}`)],
  ['a member that nobody knows', json('/v1/requests', toggle('enable', { reasons: 'x' }))],
];
export const HEADS: [string, Sent][] = [
  ...[
    'application/json; charset=utf-8',
    'application/json;charset=utf-8',
    'application/json; charset="UTF-8"',
    'application/json; charset=utf-16',
    'application/json; charset=utf-8; charset=utf-16',
    'APPLICATION/JSON',
    'application/json;',
    'application/json; =',
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/problem+json',
    '',
  ].map((type): [string, Sent] => [
    `the type ${type}`,
    {
      method: 'POST',
      target: '/v1/requests',
      headers: [
        'Authorization: Bearer {token}',
        `Content-Type: ${type}`,
        `Content-Length: ${Buffer.byteLength(enable)}`,
      ],
      body: enable,
    },
  ]),
  ...['identity', 'gzip', 'br', '', 'Identity', 'x'].map((coding): [string, Sent] => [
    `the coding ${coding}`,
    json('/v1/requests', enable, [`Content-Encoding: ${coding}`]),
  ]),
  ['no type', { method: 'POST', target: '/v1/requests', headers: ['Content-Length: 2'], body: '{}' }],
  [
    'no type and no bytes',
    {
      method: 'POST',
      target: `/v1/requests/${UNKNOWN}/apply`,
      headers: ['Authorization: Bearer {token}', 'Content-Length: 0'],
    },
  ],
  [
    'neither type nor length',
    { method: 'POST', target: `/v1/requests/${UNKNOWN}/apply`, headers: ['Authorization: Bearer {token}'] },
  ],
  [
    'a compressed body',
    {
      method: 'POST',
      target: '/v1/requests',
      headers: [
        'Content-Type: application/json',
        'Content-Encoding: gzip',
        `Content-Length: ${gzipSync(enable).length}`,
      ],
      body: gzipSync(enable),
    },
  ],
  [
    'chunks',
    {
      method: 'POST',
      target: '/v1/requests',
      headers: [
        'Authorization: Bearer {token}',
        'Content-Type: application/json',
        'Transfer-Encoding: chunked',
      ],
      body: `5\r\n{"rea\r\n7\r\nson":1}\r\n0\r\n\r\n`,
    },
  ],
  [
    'chunks of too much',
    {
      method: 'POST',
      target: '/v1/requests',
      headers: ['Content-Type: application/json', 'Transfer-Encoding: chunked'],
      body: `${`10000\r\n${'x'.repeat(65_536)}\r\n`.repeat(5)}0\r\n\r\n`,
    },
  ],
  [
    'no chunk',
    {
      method: 'POST',
      target: `/v1/requests/${UNKNOWN}/apply`,
      headers: [
        'Authorization: Bearer {token}',
        'Content-Type: application/json',
        'Transfer-Encoding: chunked',
      ],
      body: '0\r\n\r\n',
    },
  ],
  ['two codings', json('/v1/requests', enable, ['Transfer-Encoding: gzip, chunked'])],
  ['two lengths', json('/v1/requests', enable, ['Content-Length: 3'])],
  ['two tokens', json('/v1/requests', enable, ['Authorization: Bearer {token}'])],
  ['two proofs', json('/v1/requests', enable, ['DPoP: a', 'DPoP: b'])],
  ['two ids', json('/v1/requests', '{}', [`X-Request-Id: ${FIXED_ID}`, `X-Request-Id: ${FIXED_ID}`])],
  ['a foreign host', get('http://elsewhere.example/v1/freezes')],
  ['an absolute target', get('http://{host}/v1/freezes')],
  ['a fragment', get('/v1/freezes#x')],
  ['no token', { method: 'GET', target: '/v1/freezes' }],
  ['a wrong token', { method: 'GET', target: '/v1/freezes', headers: ['Authorization: Bearer x.y.z'] }],
  ['a cookie', { method: 'GET', target: '/v1/whoami', headers: ['Cookie: __Host-session=x'] }],
  ['a key that is none', json('/v1/requests', enable, ['Idempotency-Key: a b'])],
  ['any tag', get('/v1/requests/{request}', 'If-None-Match: *')],
  ['any tag, fresh', get('/v1/requests/{request}', 'If-None-Match: *', 'Cache-Control: no-cache')],
  ['another tag', get('/v1/requests/{request}', 'If-None-Match: "x"')],
  ['a date', get('/v1/freezes', 'If-Modified-Since: Wed, 18 Nov 2026 09:30:00 GMT')],
  ['the wish to continue', json('/v1/requests', enable, ['Expect: 100-continue'])],
  ['another wish', json('/v1/requests', enable, ['Expect: x'])],
  ['a client that leaves', { ...json('/v1/requests', enable.slice(0, 20)), cutOff: true }],
  ['a body longer than it says', json('/v1/requests', '{}', ['Content-Length: 2'])],
];
export const TARGETS = [
  '/v1/requests/',
  '//v1/requests',
  '/V1/requests',
  '/v1/Requests',
  '/v1/requests?',
  '/v1/requests?limit=1&limit=2',
  '/v1/requests?limit=0',
  '/v1/requests?LIMIT=1',
  '/v1/requests?limit=%31',
  '/v1/requests?limit=%',
  '/v1/requests?__proto__=1&constructor=2',
  '/v1/requests?id=a?b',
  '/v1/requests?a=b\\c"d',
  '/v1/requests?cursor=x.y',
  '/v1/./requests',
  '/v1/../v1/requests',
  '/v1/requests/%78',
  '/v1/requests/%',
  '/v1/requests/%2F',
  '/v1/requests/a%2Fb/approve',
  '/v1/requests/a:b',
  '/v1/requests/a+b',
  '/v1/requests/x/y/z',
  '/v1/flags/checkout/',
  '/v1/flags/checkou',
  '/v1/flags/CHECKOUT',
  '/v1/flags/check%6Fut',
  '/v1/flags/checkout?environment=production',
  '/v1/nothing',
  '/log/tile/0/000',
  '/healthz?x',
  '/oauth/token',
  '/scim/v2/Users/x',
  '/auth/account',
  '/',
  '*',
];

/** Requests near those that have routes: paths, headers and bodies with a fault here and there. */
export const anySent: fc.Arbitrary<Sent> = fc
  .record({
    method: fc.constantFrom('GET', 'POST', 'POST', 'PATCH', 'HEAD', 'PUT', 'OPTIONS'),
    path: fc.constantFrom(
      '/v1/requests',
      '/v1/requests/{request}',
      '/v1/requests/{request}/approve',
      `/v1/requests/${UNKNOWN}/withdraw`,
      '/v1/freezes',
      '/v1/flags/checkout',
      '/v1/policy',
    ),
    fault: fc.oneof(
      { weight: 3, arbitrary: fc.constant('') },
      fc.constantFrom(
        '/',
        '//',
        '%',
        '%2e',
        '?',
        '?a=b',
        '?limit=2',
        ';x',
        '~',
        '.',
        '%00',
        '\\',
        '|',
        '@',
        ':',
      ),
      fc.string({ maxLength: 4 }).map((text) => text.replaceAll(/[^!-~]|#/g, '')),
    ),
    at: fc.nat({ max: 60 }),
    type: fc.option(
      fc.constantFrom(
        'application/json',
        'application/json; charset=utf-8',
        'text/json',
        'application/json; x=1',
      ),
    ),
    coding: fc.option(fc.constantFrom('identity', 'gzip'), { freq: 8 }),
    isChunked: fc.boolean(),
    isKnown: fc.integer({ min: 0, max: 9 }).map((number) => number > 0),
    more: fc.subarray([
      'If-None-Match: "x"',
      'Idempotency-Key: "q"',
      'Accept: text/html',
      'DPoP: x',
      'Origin: https://elsewhere.example',
      'Sec-Fetch-Site: cross-site',
      'X-Forwarded-For: 10.0.0.1',
      'Cookie: a=b',
    ]),
    body: fc.oneof(
      fc.constant(''),
      fc.constant('{}'),
      fc.json({ maxDepth: 2 }),
      fc.string({ maxLength: 20 }),
      fc
        .record({ digest: fc.constant(`sha256:${'1'.repeat(64)}`), comment: fc.string() })
        .map((body) => JSON.stringify(body)),
    ),
  })
  .map(({ method, path, fault, at, type, coding, isChunked, isKnown, more, body }) => {
    const place = fault === '' ? path.length : Math.max(1, path.length - at);
    const bytes = Buffer.from(body);
    const framed = isChunked && bytes.length > 0;
    return {
      method,
      target: `${path.slice(0, place)}${fault}${path.slice(place)}`,
      headers: [
        ...(isKnown ? ['Authorization: Bearer {token}'] : []),
        ...(type === null ? [] : [`Content-Type: ${type}`]),
        ...(coding === null ? [] : [`Content-Encoding: ${coding}`]),
        framed ? 'Transfer-Encoding: chunked' : `Content-Length: ${bytes.length}`,
        ...more,
      ],
      body: framed
        ? Buffer.concat([
            Buffer.from(`${bytes.length.toString(16)}\r\n`),
            bytes,
            Buffer.from('\r\n0\r\n\r\n'),
          ])
        : bytes,
    };
  });
