import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { applyChanges, createFlag, creation, proposal, propose, TICKET } from '../support/flags.ts';
import { readerToken } from '../support/snapshots.ts';

/*
 * What a preview says is what applications get: it is compared with their own reads before and after.
 */

let t: TestBroker;

beforeAll(async () => {
  t = await startTestBroker();
});

afterAll(() => t.close());

const CONTEXTS = [
  {},
  { organization: 'acme' },
  { organization: 'globex', targetingKey: 'u1' },
  { organization: 'initech', plan: 'gold' },
  { organization: 'umbrella', targetingKey: 'u2' },
  ...Array.from({ length: 20 }, (_, each) => ({ organization: `org-${each}` })),
];

async function preview(id: string, contexts: unknown = CONTEXTS, who = 'dana'): Promise<Reply> {
  return t.call(who, 'POST', `/v1/requests/${id}/preview`, { contexts });
}

/** What applications get for each context; null for a flag that is not served. */
async function served(flag: string): Promise<unknown[]> {
  const token = await readerToken(t);
  return Promise.all(
    CONTEXTS.map(async (context) => {
      const { status, body } = await t.call(token, 'POST', `/ofrep/v1/evaluate/flags/${flag}`, { context });
      return status === 200 ? { variant: body.variant, value: body.value, reason: body.reason } : null;
    }),
  );
}

const sideOf = (body: Reply['body'], side: 'before' | 'after', environment = 'production') =>
  body.results.map(
    ({ flags }: Reply['body']) => flags.find((each: Reply['body']) => each.environment === environment)[side],
  );

const RULES = [
  {
    name: 'gold',
    when: [{ attribute: 'plan', operator: 'equals', values: ['gold'] }],
    serve: { variant: 'on' },
  },
];

it.each([
  ['enable', (flag: string) => [{ action: 'enable', flag }]],
  [
    'a rollout',
    (flag: string) => [
      { action: 'enable', flag },
      {
        action: 'set_rollout',
        flag,
        rollout: [
          { variant: 'on', percent: 40 },
          { variant: 'off', percent: 60 },
        ],
        rules: RULES,
      },
    ],
  ],
  [
    'an audience',
    (flag: string) => [
      { action: 'enable', flag },
      { action: 'set_audience', flag, audience: { kind: 'some', organizations: ['acme'], users: [] } },
    ],
  ],
  ['retirement', (flag: string) => [{ action: 'retire', flag }]],
])('of %s is what applications get before and after', async (name, changes) => {
  const flag = await createFlag(t, name.replaceAll(' ', '-'), { tier: 'high-risk' });
  const before = await served(flag);
  const { body: request } = await propose(t, changes(flag), { ticket: TICKET });
  expect(request).toMatchObject({ state: 'pending' });
  const { status, body } = await preview(request.id);
  expect(status).toBe(200);
  expect(body.digest).toBe(request.digest);
  const drafted = await t.call('dana', 'POST', '/v1/previews', {
    content: proposal(changes(flag)),
    contexts: CONTEXTS,
  });
  expect(drafted.body.results).toEqual(body.results);
  await t.call('dana', 'POST', `/v1/requests/${request.id}/withdraw`);
  const applied = await applyChanges(t, changes(flag));
  const after = await served(flag);
  expect(sideOf(body, 'before')).toEqual(before);
  expect(sideOf(body, 'after')).toEqual(after);
  const values = (side: unknown[]) =>
    side.map((each) => JSON.stringify((each as { value?: unknown } | null)?.value));
  const changed = values(before).filter((value, place) => value !== values(after)[place]).length;
  expect(body.changed).toBe(changed);
  // Whatever happens since: it is about what the request was based on.
  expect((await preview(applied.id)).body.results).toEqual(body.results);
});

it('of a new flag has no before, in its own environment', async () => {
  const changes = [creation('newborn'), { action: 'enable', flag: 'newborn' }];
  const { body: request } = await propose(t, changes, { ticket: TICKET });
  const { body } = await preview(request.id, [{ organization: 'acme' }]);
  expect(body.results[0].flags).toEqual([
    {
      flag: 'newborn',
      environment: 'production',
      before: null,
      after: { variant: 'on', value: true, reason: 'STATIC' },
      changed: true,
    },
  ]);
});

it('of what changes no flag is empty, and bad contexts are refused', async () => {
  const flag = await createFlag(t, 'refused');
  const { body: request } = await propose(t, [{ action: 'enable', flag }], { ticket: TICKET });
  for (const contexts of [[], [null], ['x'], [[]], Array.from({ length: 201 }, () => ({}))]) {
    expect((await preview(request.id, contexts)).body.code).toBe('invalid_request');
  }
  const hostile = JSON.parse('[{"__proto__": {"organization": "acme"}, "constructor": 1}]');
  expect((await preview(request.id, hostile)).status).toBeLessThan(500);
  const freeze = {
    scope: 'namespace',
    namespace: 'growth',
    environment: 'staging',
    incident: 'INC',
    reason: 'x',
  };
  const { body: engaged } = await t.call('riley', 'POST', '/v1/freezes', { ...freeze, yet_unknown: true });
  const { body: lift } = await t.call('riley', 'POST', '/v1/requests', {
    kind: 'freeze.lift',
    freeze: engaged.id,
    reason: 'x',
  });
  expect((await preview(lift.id, [{}], 'riley')).body).toMatchObject({
    results: [{ flags: [] }],
    changed: 0,
  });
});

it('tells nothing to whoever may not read the request', async () => {
  const flag = await createFlag(t, 'hidden');
  const { body: request } = await propose(t, [{ action: 'enable', flag }], { ticket: TICKET });
  const stranger = await t.people.idToken('dana', { claims: { groups: [] } });
  expect((await preview(request.id, [{}], stranger)).body.code).toBe('policy_denied');
  expect((await preview('01a00000-0000-7000-8000-000000000000', [{}])).body.code).toBe('not_found');
  const content = proposal([{ action: 'enable', flag }]);
  expect((await t.call(stranger, 'POST', '/v1/previews', { content, contexts: [{}] })).body.code).toBe(
    'policy_denied',
  );
});
