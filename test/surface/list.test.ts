import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { problemsOf } from '../../src/http/route.ts';
import { OPERATIONS } from '../../src/operations.ts';
import { PROBLEMS } from '../../src/problems.ts';
import { requestKinds } from '../../src/requests/kinds/kinds.ts';
import { listRoutes } from '../../src/routes.ts';

/* What holds for every entry of the list, so that no new one can be an exception by accident. */

const routes = listRoutes(requestKinds);
const governed = routes.filter(({ caller }) => caller !== null);

function namesOf(wrong: typeof routes): string[] {
  return wrong.map(({ name }) => name);
}

/** The parts of a schema that would need code to be described: transforms, pipes, coercion. */
function* changesIn(schema: unknown, seen = new Set<unknown>()): Generator<string> {
  if (typeof schema !== 'object' || schema === null || seen.has(schema)) return;
  seen.add(schema);
  const def = schema instanceof z.ZodType ? schema.def : schema;
  const { type, coerce } = def as { type?: unknown; coerce?: unknown };
  if (type === 'transform' || type === 'pipe') yield String(type);
  if (coerce === true) yield 'coerce';
  for (const part of Object.values(def)) yield* changesIn(part, seen);
}

describe('the list of routes', () => {
  it('has each name and each call once', () => {
    const names = routes.map(({ name }) => name);
    const calls = routes.map(({ method, path }) => `${method} ${path.replaceAll(/\{\w+\}/g, '{}')}`);
    expect(names.length).toBeGreaterThan(55);
    expect(new Set(names).size).toBe(names.length);
    expect(new Set(calls).size).toBe(calls.length);
  });

  it('names parameters of paths as its schemas do', () => {
    for (const { name, path, params } of routes) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
      expect(Object.keys(params?.shape ?? {}), name).toEqual(inPath);
    }
  });

  it('lets nobody in without a credential, where one is required', () => {
    const attempts = ['no_token', 'garbage', 'no_proof', 'wrong_audience'] as const;
    const wrong = governed.filter(({ outcomes }) =>
      attempts.some((attempt) => outcomes[attempt] !== 'refused'),
    );
    expect(namesOf(wrong)).toEqual([]);
  });

  it('takes no change from a page of another site', () => {
    const wrong = governed.filter(
      ({ method, outcomes }) => method !== 'GET' && outcomes.foreign_origin !== 'refused',
    );
    expect(namesOf(wrong)).toEqual([]);
  });

  it('changes nothing that could not be recorded', () => {
    const wrong = routes.filter(({ name, operation, outcomes }) => {
      const asked = operation === null ? [] : [operation].flat();
      return (
        // It starts checks in memory, and proposes nothing.
        name !== 'checkPolicy' &&
        asked.some((name) => OPERATIONS[name].recorded === 'always') &&
        outcomes.unwritable !== 'refused'
      );
    });
    expect(namesOf(wrong)).toEqual([]);
  });

  it('asks the policy for every change but those of one’s own credentials', () => {
    const wrong = governed.filter(({ method, operation, outcomes }) => {
      const own = operation !== null && [operation].flat().every((name) => OPERATIONS[name].at === 'own');
      return method !== 'GET' && !own && (operation === null || outcomes.denied !== 'refused');
    });
    // Evaluation is decided when the token is issued, and so is what relays report of it.
    expect(namesOf(wrong).toSorted()).toEqual(['evaluateFlag', 'evaluateFlags', 'reportReads']);
  });

  it('limits every OAuth call and every page per address, with or without a caller', () => {
    const wrong = routes.filter(
      ({ format, perAddress, path }) =>
        (format === 'oauth' || (format === 'page' && path !== '/auth/style.css')) && perAddress !== true,
    );
    expect(namesOf(wrong)).toEqual([]);
  });

  it('limits every call without a caller that does work, per address', () => {
    const open = routes.filter(({ caller, perAddress }) => caller === null && perAddress !== true);
    expect(
      open.map(({ path }) => path).filter((path) => !/^\/(\.well-known|healthz|readyz|metrics)/.test(path)),
    ).toEqual([
      // Signed once a second at most.
      '/log/checkpoint',
      '/v1/log',
      '/auth/style.css',
      // A provider calls for all its users from one address.
      '/auth/backchannel-logout',
      '/scim/v2/ServiceProviderConfig',
      // Built once.
      '/openapi.json',
    ]);
  });

  it('has no schema that turns what is sent into something else', () => {
    for (const route of routes) {
      const { params, query, body, answer, also = {} } = route;
      for (const schema of [params, query, body, answer, ...Object.values(also)]) {
        if (schema !== undefined) expect([route.name, [...changesIn(schema)]]).toEqual([route.name, []]);
      }
    }
    expect([...changesIn(z.object({ a: z.array(z.string().transform(Number)).optional() }))]).not.toEqual([]);
    expect([...changesIn(z.union([z.string(), z.coerce.number()]))]).not.toEqual([]);
  });

  it('declares no problem twice, and only known ones', () => {
    for (const route of routes) {
      const codes = problemsOf(route);
      expect(new Set(codes).size, route.name).toBe(codes.length);
      for (const code of codes) expect(PROBLEMS).toHaveProperty(code);
    }
  });
});
