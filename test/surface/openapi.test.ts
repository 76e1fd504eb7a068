import { readFileSync } from 'node:fs';
import { createConfig, lintFromString } from '@redocly/openapi-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestBroker, type TestBroker } from '../support/broker.ts';

let t: TestBroker;
beforeAll(async () => {
  t = await startTestBroker();
});
afterAll(() => t.close());

const committed = readFileSync(new URL('../../docs/openapi.json', import.meta.url), 'utf8');

describe('the OpenAPI document', () => {
  it('passes the recommended rules of a public linter', async () => {
    const problems = await lintFromString({
      source: committed,
      absoluteRef: 'openapi.json',
      config: await createConfig({
        extends: ['recommended'],
        // A page that only redirects has no such answer.
        rules: { 'operation-2xx-response': 'off' },
      }),
    });
    const found = problems.map(
      ({ ruleId, message, location }) => `${ruleId} ${message} ${location[0]?.pointer}`,
    );
    expect(found).toEqual([]);
  });

  it('is served to everybody, as it is committed', async () => {
    const { status, body, headers } = await t.call(null, 'GET', '/openapi.json');
    expect(status).toBe(200);
    expect(headers.get('content-type')).toMatch(/^application\/json/);
    expect(headers.get('cache-control')).toBe('public, max-age=60');
    expect(body).toEqual(JSON.parse(committed));
  });
});
