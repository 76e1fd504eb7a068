import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { countRows, createFlag, creation, proposal } from '../support/flags.ts';

let t: TestBroker;
let token: string;

beforeAll(async () => {
  t = await startTestBroker();
  await createFlag(t, 'checkout');
  token = await t.people.idToken('dana');
});

afterAll(() => t.close());

const enable = { action: 'enable', flag: 'checkout' };
const POSTS = [
  '/v1/requests',
  '/v1/freezes',
  '/v1/break-glass',
  '/v1/requests/00000000-0000-4000-8000-000000000000/approve',
];

type Sent = NonNullable<RequestInit['body']>;

/** Sends bytes as they are. */
async function send(body: Sent, headers: Record<string, string> = {}, path = '/v1/requests') {
  const response = await fetch(`${t.url}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
    body,
  });
  const text = await response.text();
  expect(text).not.toMatch(/\\n\s+at |node_modules|\.ts:\d/);
  expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/);
  return { status: response.status, body: JSON.parse(text) };
}

/** Expects a refusal with that code, and that no table grew. */
async function expectRefused(code: string, body: Sent, headers?: Record<string, string>, path?: string) {
  const before = await countRows(t);
  const answer = await send(body, headers, path);
  expect(answer.body.code).toBe(code);
  expect(answer.body.instance).toMatch(/^urn:uuid:/);
  expect(await countRows(t)).toEqual(before);
}

const text = JSON.stringify(proposal([enable]));
const bytes = (...parts: (string | number[])[]) =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.from(part))));

describe('a body that is not JSON', () => {
  it.each([
    ['cut off', text.slice(0, -1)],
    ['with a comma too many', text.replace('}', ',}')],
    ['with single quotes', "{'environment': 1}"],
    ['with a comment', `/* x */${text}`],
    ['with NaN', '{"start_ms": NaN}'],
    ['with two documents', `${text}${text}`],
    ['of white space', '   '],
    [
      'with a byte order mark in UTF-16',
      bytes([0xff, 0xfe], Buffer.from(text, 'utf16le').toString('latin1')),
    ],
    ['with broken UTF-8', bytes('{"reason":"', [0xc3, 0x28], '"}')],
    ['with an overlong slash', bytes('{"reason":"', [0xc0, 0xaf], '"}')],
    ['with a surrogate in UTF-8', bytes('{"reason":"', [0xed, 0xa0, 0x80], '"}')],
    ['with a raw control character', '{"reason":"a\u0001b"}'],
    ['with the same member twice', '{"reason":"a","reason":"b"}'],
    ['with the same member twice, once escaped', '{"reason":"a","re\\u0061son":"b"}'],
    ['with the same member twice, deep inside', '{"changes":[{"a":{"b":1,"c":2,"b":3}}]}'],
  ])('%s is malformed', async (_name, body) => {
    for (const path of POSTS)
      await expectRefused('malformed_json', new Uint8Array(Buffer.from(body)), {}, path);
  });

  it.each(['null', '1', '"text"', 'true'])('%s is malformed or of the wrong shape', async (body) => {
    const { status } = await send(body);
    expect(status).toBe(400);
  });
});

describe('a body of the wrong kind', () => {
  it.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data',
    'application/xml',
    '',
    'json',
    'application/json-patch+json',
  ])('with the content type %j is refused', async (type) => {
    await expectRefused('unsupported_media_type', new Uint8Array(Buffer.from(text)), {
      'content-type': type,
    });
  });

  it.each(['gzip', 'deflate', 'br', 'compress', 'identity, gzip'])(
    'with the encoding %s is refused',
    async (encoding) => {
      await expectRefused('unsupported_media_type', new Uint8Array(gzipSync(text)), {
        'content-encoding': encoding,
      });
    },
  );

  it.each(['latin1', 'utf-16', 'utf-16le', 'utf-7', 'utf-32', 'us-ascii', 'x', ''])(
    'with the charset %j is refused',
    async (charset) => {
      await expectRefused('unsupported_media_type', new Uint8Array(Buffer.from(text)), {
        'content-type': `application/json; charset=${charset}`,
      });
    },
  );

  it('in UTF-7 cannot smuggle a second member past the check for duplicates', async () => {
    const hidden = text.replace('"a test"', '"a+ACIALAAi-reason+ACIAOgAi-another"');
    await expectRefused('unsupported_media_type', hidden, {
      'content-type': 'application/json;charset=UTF-7',
    });
  });

  it.each(['application/json; charset=utf-8', 'application/json;charset="UTF-8"', 'Application/JSON'])(
    'is read as %s',
    async (type) => {
      const { body } = await send('{}', { 'content-type': type });
      expect(body.code).toBe('invalid_request');
    },
  );
});

describe('a body that is too much', () => {
  it('is refused by its size, whether or not it says it', async () => {
    const large = JSON.stringify({ ...proposal([enable]), reason: 'x'.repeat(300_000) });
    await expectRefused('body_too_large', large);
    const stream = new Blob([large]).stream();
    const response = await fetch(`${t.url}/v1/requests`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: stream,
      duplex: 'half',
    } as RequestInit);
    expect((await response.json()) as unknown).toMatchObject({ code: 'body_too_large' });
  });

  it.each([33, 1000, 60_000])('is refused when it nests %i deep', async (depth) => {
    await expectRefused('invalid_request', `${'['.repeat(depth)}${']'.repeat(depth)}`);
    await expectRefused(
      'invalid_request',
      `${'{"a":'.repeat(Math.min(depth, 40_000))}1${'}'.repeat(Math.min(depth, 40_000))}`,
    );
  });

  it('is refused with more changes than a request may have', async () => {
    await expectRefused(
      'invalid_request',
      JSON.stringify(proposal(Array.from({ length: 101 }, () => enable))),
    );
  });
});

describe('a body of the wrong shape', () => {
  const wrong: Record<string, unknown> = {
    'a list': [],
    'no members': {},
    'an unknown member': { ...proposal([enable]), admin: true },
    'an unknown member of a change': proposal([{ ...enable, force: true }]),
    'an unknown action': proposal([{ action: 'delete', flag: 'checkout' }]),
    'no changes': proposal([]),
    'changes that are no list': proposal({ 0: enable, length: 1 } as never),
    'a number for a text': { ...proposal([enable]), reason: 7 },
    'a list for a text': { ...proposal([enable]), reason: ['x'] },
    'an empty reason': { ...proposal([enable]), reason: '' },
    'a reason that shows another text': { ...proposal([enable]), reason: 'off\u202eno' },
    'a lone surrogate': { ...proposal([enable]), reason: '\ud800' },
    'a start of another kind': { ...proposal([enable]), start_ms: '2026-13-01T00:00:00Z' },
    'a start beyond all numbers': { ...proposal([enable]), start_ms: 1e300 },
    'another kind of request': { ...proposal([enable]), kind: 'policy.activate' },
    'a key in capitals': proposal([{ ...enable, flag: 'Checkout' }]),
    'a key with a Cyrillic letter': proposal([{ ...enable, flag: 'сheckout' }]),
    'a key in full width': proposal([{ ...enable, flag: 'ｃheckout' }]),
    'a key with a zero-width space': proposal([{ ...enable, flag: 'check\u200bout' }]),
    'a key with a combining mark': proposal([{ ...enable, flag: 'checkou\u0301t' }]),
    'a key with a path': proposal([{ ...enable, flag: '../checkout' }]),
    'a reserved key': proposal([creation('constructor')]),
    'a reserved variant': proposal([creation('x', { variants: { constructor: true, off: false } })]),
  };

  it.each(Object.keys(wrong))('%s is refused, and names the place', async (name) => {
    const before = await countRows(t);
    const { status, body } = await send(JSON.stringify(wrong[name]));
    expect(status).toBe(400);
    expect(body.code).toBe('invalid_request');
    expect(await countRows(t)).toEqual(before);
  });
});

describe('a prototype', () => {
  const names = ['__proto__', 'constructor', 'prototype'];

  it('is not reached by any of 500 generated payloads', async () => {
    const name = fc.constantFrom(...names);
    const payload = fc.letrec((tie) => ({
      node: fc.oneof({ maxDepth: 4 }, fc.constant({ polluted: 'yes' }), tie('branch')),
      branch: fc.tuple(name, tie('node')),
    })).node;
    const place = fc.constantFrom('{"environment"', '{"action":"enable"', '{"namespace"', '{"on"');
    const render = (node: unknown): string =>
      Array.isArray(node) ? `{"${node[0]}":${render(node[1])}}` : JSON.stringify(node);
    const clean = JSON.stringify(proposal([creation('polluted'), enable]));
    const before = await countRows(t);
    await fc.assert(
      fc.asyncProperty(place, name, payload, async (where, key, node) => {
        const body = clean.replace(where, `{"${key}":${render(node)},${where.slice(1)}`);
        expect(body).not.toBe(clean);
        expect((await send(body)).body.code).toBe('invalid_request');
        expect(({} as Record<string, unknown>).polluted).toBeUndefined();
      }),
      { numRuns: 500, seed: 11 },
    );
    expect(await countRows(t)).toEqual(before);
  });
});

describe('what the tests of this file rest on', () => {
  it('is a body that would be accepted', async () => {
    const response = await fetch(`${t.url}/v1/requests`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: text,
    });
    expect(response.status).toBe(201);
  });
});
