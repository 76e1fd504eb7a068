import { randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import express from 'express';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type Edge, routesFor } from '../../src/decide/edge.ts';
import { serveRoutes } from '../../src/decide/express-routes.ts';
import { servedRoutes } from '../../src/decide/served-routes.ts';
import { openApiDocument, openApiText } from '../../src/http/openapi.ts';
import { PUBLIC } from '../../src/http/route.ts';
import { createTurns } from '../../src/http/turns.ts';
import { requestKinds } from '../../src/requests/kinds/kinds.ts';
import { listRoutes } from '../../src/routes.ts';
import { type SurfaceBench, startSurfaceBench } from './bench.ts';
import { EXAMPLES } from './examples.ts';
import { send, validCredential } from './send.ts';

/* What every entry gets by being in the list. */

let bench: SurfaceBench;
beforeAll(async () => {
  bench = await startSurfaceBench();
});
afterAll(() => bench.close());

const routes = listRoutes(requestKinds);
const concrete = (path: string) => path.replaceAll(/\{\w+\}/g, 'x');

async function answer(method: string, path: string): Promise<Response> {
  return fetch(`${bench.t.url}${path}`, { method, redirect: 'manual' });
}

describe.each(routes.map((route) => [`${route.method} ${route.path}`, route] as const))('%s', (_, route) => {
  it('has one path: no other case, no trailing slash, no empty part', async () => {
    const path = concrete(route.path);
    const variants = [
      path.toUpperCase(),
      path.replace(/[a-z](?=[^a-z]*$)/, (letter) => letter.toUpperCase()),
      `${path}/`,
      `/${path}`,
      `${path}/x/y/z`,
    ]
      // Clients of flagd may append a slash to the path of all flags.
      // Below a parameter of several segments, everything is a value of it.
      .filter((variant) => route.spans === undefined || !variant.startsWith(path))
      .filter((variant) => variant !== path && !isOther(variant) && variant !== '/ofrep/v1/evaluate/flags/');
    for (const variant of variants) {
      expect([variant, (await answer(route.method, variant)).status]).toEqual([variant, 404]);
    }
  });

  it('names its methods when asked with another', async () => {
    const methods = routes.filter(({ path }) => path === route.path).map(({ method }) => method);
    const other =
      (['PUT', 'PATCH', 'DELETE', 'POST'] as const).find((method) => !methods.includes(method)) ?? '';
    const { status, headers } = await answer(other, concrete(route.path));
    expect(status).toBe(405);
    expect(headers.get('allow')?.split(', ')).toEqual(expect.arrayContaining(methods));
  });
});

/** Whether a variant of one path fits another route: a parameter takes nearly everything. */
function isOther(path: string): boolean {
  return routes.some((route) =>
    new RegExp(`^${route.path.replaceAll('.', '\\.').replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(path),
  );
}

describe.each([
  ['/auth/callback', 'text/html'],
  ['/oauth/token', 'application/json'],
  ['/scim/v2/Users', 'application/scim+json'],
  ['/v1/requests', 'application/problem+json'],
])('below %s', (path, type) => {
  it.each(['/%zz', '/%E0%A4%A', '/none/at/all'])(
    'a path that is none, %s, is refused in the format of the place',
    async (rest) => {
      const { status, headers } = await answer('GET', `${path}${rest}`);
      expect([400, 404]).toContain(status);
      expect(headers.get('content-type')?.split(';')[0]).toBe(type);
    },
  );

  it('a method that there is none of is refused in the format of the place', async () => {
    const { status, headers } = await answer('PROPFIND', path);
    expect([status, headers.get('content-type')?.split(';')[0]]).toEqual([405, type]);
  });
});

describe('the OpenAPI document', () => {
  it('is built once', async () => {
    const texts = openApiText(() => {
      built += 1;
      return routes;
    });
    let built = 0;
    expect(texts()).toBe(texts());
    expect(built).toBe(1);
  });
});

describe('a page that needs a session', () => {
  it('takes no token, whoever holds it', async () => {
    const route = routes.find(({ name }) => name === 'endSessionOnPage');
    if (route === undefined) throw new Error('no such route');
    const prepared = await EXAMPLES.endSessionOnPage.prepare(bench);
    const token = await bench.t.people.idToken('dana');
    const own = { authorization: `Bearer ${token}`, origin: bench.t.url };
    const { status, text } = await send(bench, route, prepared, own);
    expect(status).toBe(401);
    expect(text).toContain('You are not signed in.');
  });
});

describe('a parameter that is sent twice', () => {
  it.each(['/v1/requests?state=open&state=pending', '/v1/flags?environment=production&environment=staging'])(
    'is refused: %s',
    async (path) => {
      const { status, body } = await bench.t.call('dana', 'GET', path);
      expect([status, body.code]).toEqual([400, 'invalid_request']);
      expect(body.errors).toMatchObject([{ detail: expect.stringContaining('once') }]);
    },
  );
});

describe('a retry with the same Idempotency-Key', () => {
  const idempotent = routes.filter(({ idempotent }) => idempotent === true);

  it.each(idempotent.map((route) => [route.name, route] as const))(
    'of %s gets the first answer',
    async (name, route) => {
      const prepared = await EXAMPLES[name].prepare(bench);
      const keyed = { ...prepared, headers: { ...prepared.headers, 'Idempotency-Key': randomUUID() } };
      const first = await send(bench, route, keyed, await validCredential(bench, route));
      expect([first.status, first.headers.get('idempotent-replayed')]).toEqual([route.success, null]);
      const before = bench.contents();
      const again = await send(bench, route, keyed, await validCredential(bench, route));
      expect([again.status, again.headers.get('idempotent-replayed')]).toEqual([route.success, 'true']);
      expect(again.text).toBe(first.text);
      for (const header of ['etag', 'location']) {
        expect(again.headers.get(header)).toBe(first.headers.get(header));
      }
      expect(bench.contents()).toEqual(before);
    },
  );

  it('is for every POST that creates something and returns no secret', () => {
    const creating = routes.filter(
      ({ method, success, format }) => method === 'POST' && success === 201 && format === 'problem',
    );
    expect(creating.filter((route) => route.idempotent !== true).map(({ name }) => name)).toEqual([
      'drillRevocation',
      // The same bytes are stored once.
      'uploadBundle',
      'delegate',
    ]);
  });
});

describe('a deprecated call', () => {
  const { route } = routesFor<object>({ tag: 'Operating', format: 'problem', since: '1.0' });
  const old = route({
    name: 'old',
    operation: null,
    method: 'GET',
    path: '/old',
    summary: 'an old call',
    caller: null,
    outcomes: PUBLIC,
    deprecated: { on: '2026-11-29', instead: '/new' },
    success: 200,
    answer: z.object({ fine: z.boolean() }),
    handle: async () => ({ body: { fine: true } }),
  });

  it('says so in its answers and in the document', async () => {
    const app = express();
    const noWriters = { problem: [], oauth: [], scim: [], page: [], logout: [], ofrep: [] };
    const countAttempt = async () => undefined;
    const served = servedRoutes([old], {}, { edge: {} as Edge, turns: createTurns(), countAttempt });
    app.use(serveRoutes(served, { countAttempt, errorWriters: noWriters }));
    const server = app.listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { headers, status } = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/old`);
    await new Promise((resolve) => server.close(resolve));
    expect(status).toBe(200);
    // RFC 9745 section 2.1: a date in seconds.
    expect(headers.get('deprecation')).toBe(`@${Date.UTC(2026, 10, 29) / 1000}`);
    expect(headers.get('link')).toBe('</new>; rel="successor-version"');
    expect(openApiDocument([old])).toMatchObject({ paths: { '/old': { get: { deprecated: true } } } });
  });
});
