import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { type RegisteredRoute, registeredRoutes } from '../support/routes.ts';
import { listedIn, readPage } from './pages.ts';

let t: TestBroker;
let routes: RegisteredRoute[];
beforeAll(async () => {
  routes = await registeredRoutes(async () => {
    t = await startTestBroker();
  });
});
afterAll(() => t.close());

/** The data plane answers before Express, so no router knows its calls. */
const DATA_PLANE = ['POST /ofrep/v1/evaluate/flags', 'POST /ofrep/v1/evaluate/flags/{key}'];

/** The calls of a route as the page writes them: one for each of its paths, parameters in braces. */
function callsOf({ method, path }: RegisteredRoute): string[] {
  return path.split(',').map((one) => `${method} ${one.replaceAll(/:(\w+)/g, '{$1}')}`);
}

describe('docs/api.md', () => {
  const listed = listedIn(readPage('docs/api.md'), 'call');

  it('lists each call that a broker answers once, and no other', () => {
    const calls = [...routes.flatMap(callsOf), ...DATA_PLANE];
    expect(calls.length).toBeGreaterThan(50);
    expect(listed.toSorted()).toEqual(calls.toSorted());
  });

  it('lists calls of the data plane that exist', async () => {
    for (const call of DATA_PLANE) {
      const [method = '', path = ''] = call.split(' ');
      const { status } = await t.call(null, method, path.replace('{key}', 'checkout.banner'), {
        context: {},
      });
      expect(status, call).toBe(401);
    }
  });
});
