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

interface ObjectSchema {
  type?: unknown;
  additionalProperties?: unknown;
}

/** A part of the document with its references followed. */
function reach(part: unknown, components: { schemas: Record<string, unknown> }, depth = 0): unknown {
  if (typeof part !== 'object' || part === null || depth > 30) return part;
  if (Array.isArray(part)) return part.map((item) => reach(item, components, depth + 1));
  if ('$ref' in part) {
    return reach(components.schemas[String(part.$ref).split('/').at(-1) ?? ''], components, depth + 1);
  }
  return Object.fromEntries(
    Object.entries(part).map(([name, member]) => [name, reach(member, components, depth + 1)]),
  );
}

function objectsIn(part: unknown): ObjectSchema[] {
  if (typeof part !== 'object' || part === null) return [];
  const own = 'properties' in part && 'type' in part ? [part as ObjectSchema] : [];
  return [...own, ...Object.values(part).flatMap(objectsIn)];
}

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

  it('refuses unknown members in requests of this API, and leaves answers open to new ones', () => {
    const { paths, components } = JSON.parse(committed);
    const strict: string[] = [];
    for (const [path, calls] of Object.entries<Record<string, { requestBody?: object; responses: object }>>(
      paths,
    )) {
      for (const [method, { requestBody, responses }] of Object.entries(calls)) {
        if (JSON.stringify(reach(responses, components)).includes('"additionalProperties":false')) {
          strict.push(`${method} ${path}`);
        }
        const objects = path.startsWith('/v1') ? objectsIn(reach(requestBody ?? {}, components)) : [];
        expect([path, objects.filter((object) => object.additionalProperties === undefined)]).toEqual([
          path,
          [],
        ]);
      }
    }
    expect(strict).toEqual([]);
  });

  it('is served to everybody, as it is committed', async () => {
    const { status, body, headers } = await t.call(null, 'GET', '/openapi.json');
    expect(status).toBe(200);
    expect(headers.get('content-type')).toMatch(/^application\/json/);
    expect(headers.get('cache-control')).toBe('public, max-age=60');
    expect(body).toEqual(JSON.parse(committed));
  });
});
