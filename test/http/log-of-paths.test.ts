import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { createLog } from '../../src/logger.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { askRaw } from '../support/raw.ts';

/* A token that somebody pastes into a path never reaches the log, whatever answers. */

let t: TestBroker;
let reader: string;
let dana: string;
const lines: string[] = [];

const TOKEN = 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJkYW5hIn0.AAAAAAAAAAAAAAAA';

beforeAll(async () => {
  t = await startTestBroker({
    forged: true,
    log: createLog('trace', { write: (line: string) => lines.push(line) }),
  });
  reader = await t.workloadToken('checkout', { audience: 'data:development' });
  dana = await t.people.idToken('dana');
});
afterAll(() => t.close());
beforeEach(() => {
  lines.length = 0;
});

it.each([
  ['a route', 'GET', `/v1/flags/${TOKEN}`],
  ['a route that writes', 'POST', `/v1/requests/${TOKEN}/approve`],
  ['a method that the path does not have', 'DELETE', `/v1/flags/${TOKEN}`],
  ['no route', 'GET', `/${TOKEN}`],
  ['no route, below a prefix', 'GET', `/oauth/${TOKEN}`],
  ['a page', 'GET', `/auth/sign-in?issuer=${TOKEN}&return_to=/${TOKEN}`],
  ['a page that does not exist', 'GET', `/auth/${TOKEN}`],
  ['a callback', 'GET', `/auth/callback?code=${TOKEN}&state=${TOKEN}`],
  ['a call of SCIM', 'GET', `/scim/v2/Users/${TOKEN}`],
  ['a filter of SCIM', 'GET', `/scim/v2/Users?filter=userName%20eq%20"${TOKEN}"`],
  ['an evaluation', 'POST', `/ofrep/v1/evaluate/flags/${TOKEN}`],
  ['a stream with a ticket', 'GET', `/ofrep/v1/events?ticket=${TOKEN}`],
  ['no route of OFREP', 'POST', `/ofrep/v1/${TOKEN}`],
  ['a path that does not decode', 'GET', `/v1/flags/${TOKEN}%`],
  ['a path with empty segments', 'GET', `//v1//${TOKEN}`],
  ['a query', 'GET', `/v1/requests?cursor=${TOKEN}`],
  ['a target in absolute form', 'GET', `http://127.0.0.1/${TOKEN}`],
  ['a foreign authority', 'GET', `http://${TOKEN}/v1/flags`],
  ['a target that is none', 'GET', TOKEN],
])('%s', async (_name, method, target) => {
  for (const bearer of [null, dana, reader]) {
    const answer = await askRaw(t.url, [
      `${method} ${target} HTTP/1.1`,
      `Host: ${new URL(t.url).host}`,
      ...(bearer === null ? [] : [`Authorization: Bearer ${bearer}`]),
      'Content-Length: 0',
      'Connection: close',
      '',
      '',
    ]);
    expect(answer).toMatch(/^HTTP\/1\.1 [2345]\d\d /);
    const instance = /"instance":"([^"]*)"/.exec(answer)?.[1];
    if (instance !== undefined) expect(instance).toMatch(/^urn:uuid:[0-9a-f-]{36}$/);
  }
  expect(lines.join('')).not.toMatch(/eyJ|AAAA|dana\b/);
});

it('a call that fails inside the broker', async () => {
  await t.broker.store.read.destroy();
  const { status } = await t.call('dana', 'GET', `/v1/requests/${TOKEN}`);
  expect(status).toBeGreaterThanOrEqual(500);
  expect(lines.length).toBeGreaterThan(1);
  expect(lines.join('')).not.toMatch(/eyJ|AAAA/);
});
