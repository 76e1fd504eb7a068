import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { queryOf } from '../../src/http/route.ts';
import { requestKinds } from '../../src/requests/kinds/kinds.ts';
import { type ListedRoute, listRoutes } from '../../src/routes.ts';
import { createFlag } from '../support/flags.ts';
import { type SurfaceBench, startSurfaceBench } from './bench.ts';
import { EXAMPLES, type Prepared } from './examples.ts';
import { type Sent, send, validCredential } from './send.ts';

/*
 * One mistake, one answer: every call of the list gets a wrong name in each place where it takes one, and answers alike, with
 * the nearest that there is. What is hidden is never suggested: see oracles.test.ts.
 */

let bench: SurfaceBench;
beforeAll(async () => {
  bench = await startSurfaceBench();
  await createFlag(bench.t, 'names.checkout');
});
afterAll(() => bench.close());

const MISSING_ID = '0190a1b2-0000-7000-8000-000000000000';
const MISSING_HASH = `sha256:${'0'.repeat(64)}`;

/** A wrong value for each parameter that is a name, and what it is near; null if nothing is. */
const WRONG: Record<string, [wrong: string, near: string | null]> = {
  environment: ['prod', 'production'],
  namespace: ['paymentz', 'payments'],
  flag: ['names.chekout', 'names.checkout'],
  key: ['names.chekout', 'names.checkout'],
  principal: ['person:demo:danna', 'person:demo:dana'],
  proposer: ['person:demo:danna', 'person:demo:dana'],
  workload: ['person:demo:danna', 'person:demo:dana'],
  stage: ['prodution', null],
  request: [MISSING_ID, null],
  record: [MISSING_ID, null],
  comment: [MISSING_ID, null],
  id: [MISSING_ID, null],
  hash: [MISSING_HASH, null],
  digest: [MISSING_HASH, null],
  policy_hash: [MISSING_HASH, null],
};

/**
 * Parameters that are no names: the rest is tested as words of a fixed list, or is in this list. An organization need not be
 * named by any flag, and owners are free text.
 */
const NO_NAMES =
  /^(limit|cursor|from|from_place|to|unused|unused_days|tile|level|q|since|owner|enabled|retired|expires_before|organization)$/;

const routes = listRoutes(requestKinds).filter(
  ({ format, caller }) => format === 'problem' && caller !== null && caller !== 'data',
);

const shapeOf = (schema: z.ZodObject | undefined): Record<string, z.ZodType> =>
  ({ ...schema?.shape }) as never;

/** The words of a parameter that has a fixed list of them. */
function wordsOf(schema: z.ZodType | undefined): string[] {
  if (schema === undefined) return [];
  const read = (part: { enum?: unknown[]; items?: object; anyOf?: object[] }): unknown[] => [
    ...(part.enum ?? []),
    ...(part.items === undefined ? [] : read(part.items)),
    ...(part.anyOf ?? []).flatMap(read),
  ];
  return read(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as object).filter(
    (word) => typeof word === 'string',
  );
}

async function sendWith(route: ListedRoute, change: (prepared: Prepared) => Prepared): Promise<Sent> {
  const prepared = await EXAMPLES[route.name].prepare(bench);
  return send(bench, route, change(prepared), await validCredential(bench, route));
}

interface Problem {
  code: string;
  detail: string;
  did_you_mean?: string;
  errors?: { pointer: string; detail: string }[];
}

/** Expects the one answer to a wrong name. */
function expectUnknown({ status, body }: Sent, wrong: string, near: string | null): Problem {
  const problem = body as unknown as Problem;
  expect([status, problem.code, problem.detail]).toEqual([404, 'not_found', expect.stringContaining(wrong)]);
  expect(problem.detail).toMatch(/^There is no [a-z -]+ "[^"]+" that you may see\./);
  expect(problem.did_you_mean).toBe(near ?? undefined);
  if (near !== null) expect(problem.detail).toContain(`Did you mean ${near}?`);
  return problem;
}

const inPath = routes.flatMap((route) =>
  Object.keys(shapeOf(route.params))
    .filter((name) => !NO_NAMES.test(name))
    .map((name) => [route.name, name, route] as const),
);
const inQuery = routes.flatMap((route) =>
  Object.entries(shapeOf(queryOf(route)))
    .filter(([name]) => !NO_NAMES.test(name))
    .map(([name, schema]) => [route.name, name, route, wordsOf(schema)] as const),
);
/** `id` of a list is the beginning of ids, which may be of none. */
const names = inQuery.filter(([, name, , words]) => words.length === 0 && name !== 'id');
const words = inQuery.filter(([, , , known]) => known.length > 0);

describe('a wrong name', () => {
  it('is tried wherever the list of calls takes one', () => {
    expect([...inPath, ...names].map(([, name]) => name).filter((name) => WRONG[name] === undefined)).toEqual(
      [],
    );
    expect(names.length).toBeGreaterThan(12);
    expect(inPath.length).toBeGreaterThan(15);
    expect(words.length).toBeGreaterThan(5);
  });

  it.each(inPath)('in the path of %s, as its %s', async (_, name, route) => {
    const [wrong, near] = WRONG[name] ?? ['', null];
    const sent = await sendWith(route, ({ params, ...rest }) => ({
      ...rest,
      params: { ...params, [name]: wrong },
    }));
    expectUnknown(sent, wrong, near);
  });

  it.each(names)('in the query of %s, as its %s', async (_, name, route) => {
    const [wrong, near] = WRONG[name] ?? ['', null];
    const sent = await sendWith(route, ({ query, ...rest }) => ({
      ...rest,
      query: { ...query, [name]: wrong },
    }));
    const { errors } = expectUnknown(sent, wrong, near);
    expect(errors).toMatchObject([{ pointer: `#/${name}` }]);
  });
});

const change = (flag: string, environment: string) => ({
  environment,
  changes: [{ action: 'enable', flag }],
  reason: 'x',
});
const freeze = { incident: 'INC-7', reason: 'x' };
const lift = (kind: string, member: string) => ({ kind, [member]: MISSING_ID, reason: 'x' });

/** Bodies with a wrong name. */
const BODIES: [
  who: string,
  path: string,
  body: object,
  wrong: string,
  near: string | null,
  pointer: string,
][] = [
  ['dana', '/v1/requests', change('names.checkout', 'prod'), 'prod', 'production', '#/environment'],
  [
    'dana',
    '/v1/requests',
    change('names.chekout', 'production'),
    'names.chekout',
    'names.checkout',
    '#/changes/0/flag',
  ],
  [
    'dana',
    '/v1/policy/explain',
    { plan: change('names.checkout', 'prod') },
    'prod',
    'production',
    '#/environment',
  ],
  [
    'dana',
    '/v1/policy/explain',
    { what_if: { operation: 'flag.read', environment: 'prod' } },
    'prod',
    'production',
    '#/what_if/environment',
  ],
  [
    'dana',
    '/v1/policy/explain',
    { what_if: { operation: 'flag.read', namespace: 'paymentz' } },
    'paymentz',
    'payments',
    '#/what_if/namespace',
  ],
  [
    'avery',
    '/v1/policy/explain',
    { what_if: { as: { principal: 'person:demo:danna' }, operation: 'flag.read' } },
    'person:demo:danna',
    'person:demo:dana',
    '#/what_if/as/principal',
  ],
  [
    'riley',
    '/v1/freezes',
    { scope: 'environment', environment: 'prod', ...freeze },
    'prod',
    'production',
    '#/environment',
  ],
  [
    'riley',
    '/v1/freezes',
    { scope: 'namespace', namespace: 'paymentz', ...freeze },
    'paymentz',
    'payments',
    '#/namespace',
  ],
  [
    'riley',
    '/v1/freezes',
    { scope: 'flag', flag: 'names.chekout', ...freeze },
    'names.chekout',
    'names.checkout',
    '#/flag',
  ],
  ['riley', '/v1/requests', lift('freeze.lift', 'freeze'), MISSING_ID, null, '#/freeze'],
  ['riley', '/v1/requests', lift('revocation.lift', 'revocation'), MISSING_ID, null, '#/revocation'],
  [
    'morgan',
    '/v1/requests',
    { kind: 'policy.activate', policy_hash: MISSING_HASH, reason: 'x' },
    MISSING_HASH,
    null,
    '#/policy_hash',
  ],
  [
    'riley+mfa',
    '/v1/revocations',
    { kind: 'trust_rule', value: 'payments-deplox', ...freeze },
    'payments-deplox',
    'payments-deploy',
    '#/value',
  ],
  [
    'riley+mfa',
    '/v1/revocations',
    { kind: 'class', value: 'workloads', ...freeze },
    'workloads',
    'workload',
    '#/value',
  ],
];

describe('a wrong name in a body', () => {
  it.each(BODIES)('of %s to %s, %j', async (who, path, body, wrong, near, pointer) => {
    const answer = await bench.t.call(who, 'POST', path, body);
    const { errors } = expectUnknown({ ...answer, text: '' }, wrong, near);
    expect(errors).toMatchObject([{ pointer }]);
  });
});

/** A word without its last but one letter: near that word. */
const misspelt = (word: string) => `${word.slice(0, -2)}${word.slice(-1)}`;

describe('a wrong word', () => {
  it.each(words)(
    'in the query of %s, as its %s, is refused with the nearest',
    async (_, name, route, known) => {
      const [word = ''] = known;
      const wrong = misspelt(word);
      const { status, body } = await sendWith(route, ({ query, ...rest }) => ({
        ...rest,
        query: { ...query, [name]: wrong },
      }));
      const { code, errors } = body as unknown as Problem;
      expect([status, code]).toEqual([400, 'invalid_request']);
      expect(errors?.[0]?.detail).toMatch(/^unknown value "[^"]+"; did you mean [a-z_.]+\?$/);
    },
  );

  it.each(routes.map((route) => [route.name, route] as const))(
    'as a parameter of %s is refused with the nearest',
    async (_, route) => {
      const [name = 'limit'] = Object.keys(shapeOf(queryOf(route)));
      const { status, body } = await sendWith(route, ({ query, ...rest }) => ({
        ...rest,
        query: { ...query, [misspelt(name)]: 'x' },
      }));
      const { code, errors = [] } = body as unknown as Problem;
      expect([status, code]).toEqual([400, 'invalid_request']);
      const fault = errors.find(({ pointer }) => pointer === `#/${misspelt(name)}`);
      const isKnown = Object.hasOwn(shapeOf(queryOf(route)), name);
      expect(fault?.detail).toMatch(isKnown ? `unknown member; did you mean ${name}?` : /^unknown member/);
    },
  );

  const withBody = routes.filter(({ body, bodyType }) => body !== undefined && bodyType === undefined);
  it.each(withBody.map((route) => [route.name, route] as const))(
    'as a member of the body of %s is refused with the nearest',
    async (_, route) => {
      let wrong = '';
      const { status, body } = await sendWith(route, (prepared) => {
        const given = (prepared.body ?? { digest: MISSING_HASH }) as Record<string, unknown>;
        const [member = 'digest'] = Object.keys(given);
        wrong = misspelt(member);
        return { ...prepared, body: { ...given, [wrong]: given[member] } };
      });
      const { code, errors = [] } = body as unknown as Problem;
      expect([status, code]).toEqual([400, 'invalid_request']);
      const fault = errors.find(({ pointer }) => pointer.endsWith(`/${wrong}`));
      expect(fault?.detail, JSON.stringify(errors)).toMatch(/^unknown member; did you mean \w+\?$/);
    },
  );
});
