import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { JWT } from './agents.ts';

/* A form is UTF-8. What it would be in another encoding, a proxy in between may read otherwise, or not at all. */

let t: TestBroker;

beforeAll(async () => {
  t = await startTestBroker();
});
afterAll(() => t.close());

async function post(
  path: string,
  charset: string,
  body: Buffer,
): Promise<{ status: number; body: string; headers: Headers }> {
  const headers = {
    'content-type': `application/x-www-form-urlencoded${charset}`,
    authorization: `Bearer ${await t.people.idToken('avery')}`,
  };
  const response = await fetch(`${t.url}${path}`, { method: 'POST', headers, body: new Uint8Array(body) });
  return { status: response.status, body: await response.text(), headers: response.headers };
}

/** A form that each endpoint takes. */
async function formFor(path: string): Promise<string> {
  if (path !== '/oauth/token') return new URLSearchParams({ token: 'x' }).toString();
  return new URLSearchParams({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: await t.ci.token(),
    subject_token_type: JWT,
  }).toString();
}

describe.each(['/oauth/token', '/oauth/introspect', '/oauth/revoke'])('a form for %s', (path) => {
  it.each(['', ';charset="UTF-8"', '; charset=utf-8'])('is taken with the type …%s', async (charset) => {
    expect((await post(path, charset, Buffer.from(await formFor(path)))).status).toBe(200);
  });

  it('has an answer that nobody may store', async () => {
    const { headers } = await post(path, '', Buffer.from(await formFor(path)));
    expect(headers.get('cache-control')).toBe('no-store');
  });

  it.each<[string, BufferEncoding]>([
    ['; charset=utf-16le', 'utf16le'],
    ['; charset=utf-7', 'ascii'],
    ['; charset=iso-8859-1', 'latin1'],
    ['; charset=utf-8; charset=utf-16le', 'utf16le'],
    [', application/json', 'utf8'],
  ])('is refused with the type …%s, whatever it would say', async (charset, encoding) => {
    const { status, body } = await post(path, charset, Buffer.from(await formFor(path), encoding));
    expect([status, JSON.parse(body).error]).toEqual([400, 'invalid_request']);
  });
});
