import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { listPrincipals, upsertPrincipal } from '../../src/store/principals.ts';
import { activateElsewhere, signIn, withConfig } from '../support/activation.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { approve, createFlag, propose } from '../support/flags.ts';
import { countsOf } from '../support/sqlite/rows.ts';

/*
 * Rows of the active policy's data, changed by request: the broker builds the bundle.
 */

let t: TestBroker;

beforeEach(async () => {
  t = await startTestBroker();
  await signIn(t);
});

afterEach(() => t.close());

const rowed = (patch: unknown[], fields: object = {}, who = 'morgan') =>
  t.call(who, 'POST', '/v1/requests', { kind: 'policy.activate', patch, reason: 'a test', ...fields });

/** Approves as the shipped policy asks. @returns the last answer */
async function approved(request: { id: string; digest: string }) {
  await approve(t, 'jordan', request as never);
  return (await approve(t, 'sam', request as never)).body;
}

async function data() {
  return (await t.call('morgan', 'GET', '/v1/policy/data')).body.data.config;
}

const group = (name: string) =>
  `/config/role_bindings/groups/${t.people.issuer.replaceAll('/', '~1')}/${name}`;
const developer = { roles: ['flag-deployer', 'flag-reader'], namespaces: ['payments'], environments: ['*'] };
/** Gives the role of a group to another one, in which nobody is. */
const rebound = (former: string, role: string) => [
  { op: 'remove', path: group(former) },
  { op: 'add', path: group('ghosts'), value: [{ roles: [role], namespaces: ['*'], environments: ['*'] }] },
];
const limit = (seconds: number) => ({ op: 'replace', path: '/config/limits/request_ttl_s', value: seconds });

describe('a row of data', () => {
  it('is added by request, approved, and effective on the next call', async () => {
    const flag = await createFlag(t, 'checkout', { tier: 'informational' });
    const enable = () => propose(t, [{ action: 'enable', flag }], {}, 'casey');
    expect((await enable()).status).toBe(403);
    const { status, body } = await rowed([
      { op: 'add', path: `${group('customer-success')}/-`, value: developer },
    ]);
    expect([status, body.state]).toEqual([201, 'pending']);
    expect(body.summary).toBe(`change the policy: add ${group('customer-success')}/-`);
    expect(await approved(body)).toMatchObject({ state: 'applied' });
    expect((await enable()).body).toMatchObject({ state: 'applied' });
    // The module is the same; only the data is another.
    await t.restart();
    expect((await data()).role_bindings.groups[t.people.issuer]['customer-success']).toHaveLength(2);
  });

  it('does not conflict with other rows that were proposed at the same time', async () => {
    const [binding, ttl, list] = [
      (await rowed([{ op: 'add', path: group('newcomers'), value: [developer] }])).body,
      (await rowed([limit(1000)])).body,
      (await rowed([{ op: 'add', path: `${group('auditors')}/-`, value: developer }])).body,
    ];
    for (const request of [binding, ttl, list])
      expect(await approved(request)).toMatchObject({ state: 'applied' });
    const now = await data();
    expect(now.limits.request_ttl_s).toBe(1000);
    expect(now.role_bindings.groups[t.people.issuer]).toMatchObject({ newcomers: [developer] });
    expect(now.role_bindings.groups[t.people.issuer].auditors).toHaveLength(2);
  });

  it('may be proposed together with others at one moment', async () => {
    const all = await Promise.all([1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((n) => rowed([limit(1000 + n)])));
    expect(all.map(({ status }) => status)).toEqual(all.map(() => 201));
    // As long as ten checks take on a busy machine.
  }, 180_000);

  it('holds back no emergency while many persons are searched for those of the next activation', async () => {
    const { store } = t.broker;
    const known = (await listPrincipals(store.read)).find(({ id }) => id === 'person:demo:sam');
    if (known === undefined) throw new Error('sam has not signed in');
    await store.writer.write(async (tx) => {
      for (let n = 0; n < 100; n += 1) {
        const [id, person] = [`person:demo:x${n}`, `emp-x${n}`];
        const principal = { ...JSON.parse(known.principal), id, person, groups: [`group-${n}`] };
        await upsertPrincipal(tx, { ...known, id, person, principal: JSON.stringify(principal) });
      }
    });
    const answered: string[] = [];
    const proposed = rowed([limit(1000)]).then(({ body }) => answered.push(body.state));
    const order = { scope: 'environment', environment: 'staging', incident: 'INC-1', reason: 'a test' };
    const frozen = t.call('riley', 'POST', '/v1/freezes', order).then(() => answered.push('frozen'));
    await Promise.all([proposed, frozen]);
    expect(answered[0]).toBe('frozen');
  });

  it('conflicts with another change of the same row, whichever comes first', async () => {
    const [one, two] = [(await rowed([limit(1000)])).body, (await rowed([limit(2000)])).body];
    expect(await approved(one)).toMatchObject({ state: 'applied' });
    expect(await approved(two)).toMatchObject({ state: 'conflicted' });
    expect((await data()).limits.request_ttl_s).toBe(1000);
  });

  it('conflicts with a test that no longer holds', async () => {
    const before = (await data()).limits.breakglass_ttl_s;
    const tested = [
      { op: 'test', path: '/config/limits/breakglass_ttl_s', value: before },
      { op: 'replace', path: '/config/limits/breakglass_per_week', value: 1 },
    ];
    const { body } = await rowed(tested);
    const other = await rowed([{ op: 'replace', path: '/config/limits/breakglass_ttl_s', value: 60 }]);
    expect(await approved(other.body)).toMatchObject({ state: 'applied' });
    expect(await approved(body)).toMatchObject({ state: 'conflicted' });
  });
});

describe('an approval that only a former policy accepted', () => {
  it('is not the second person of a policy that asks for none', async () => {
    const { body } = await rowed([limit(1000)]);
    expect((await approve(t, 'sam', body)).body).toMatchObject({ state: 'pending' });
    const shipped = await readFile(join(t.folder, 'bundle.tar.gz'));
    const lax = await withConfig(shipped, (config) => {
      const kinds = config.request_kinds as Record<string, { rule: { approvals: object } }>;
      const kind = kinds['policy.activate'];
      if (kind !== undefined) kind.rule.approvals = {};
    });
    await activateElsewhere(t.broker.store, lax, t.clock());
    await t.broker.scheduler.tick();
    const applied = await t.call('morgan', 'POST', `/v1/requests/${body.id}/apply`, {});
    expect(applied.body).toMatchObject({ gates: [{ cleared_by: 'policy-maintainer' }] });
    expect((await data()).limits.request_ttl_s).not.toBe(1000);
  });
});

describe('a patch of a list', () => {
  const list = () => group('auditors');
  const inNamespace = (namespace: string) => ({ ...developer, namespaces: [namespace] });

  it('is based on each item that it removes, also if it names one index twice', async () => {
    const added = ['a', 'b'].map((name) => ({ op: 'add', path: `${list()}/-`, value: inNamespace(name) }));
    expect(await approved((await rowed(added)).body)).toMatchObject({ state: 'applied' });
    const twice = await rowed([
      { op: 'remove', path: `${list()}/1` },
      { op: 'remove', path: `${list()}/1` },
    ]);
    const other = await rowed([{ op: 'replace', path: `${list()}/2`, value: inNamespace('c') }]);
    expect(await approved(other.body)).toMatchObject({ state: 'applied' });
    expect(await approved(twice.body)).toMatchObject({ state: 'conflicted' });
  });

  it('appends only where there is a list: elsewhere a hyphen is a name, whose value it is based on', async () => {
    const named = (human: string) => [{ op: 'add', path: '/config/persons/-', value: human }];
    const [one, two] = [(await rowed(named('emp-1001'))).body, (await rowed(named('emp-1002'))).body];
    expect(await approved(one)).toMatchObject({ state: 'applied' });
    expect(await approved(two)).toMatchObject({ state: 'conflicted' });
  });
});

describe('a row is refused with its fault', () => {
  it.each([
    ['an index with zeros', 'replace', '/config/zones/00'],
    ['the length of a list', 'remove', '/config/zones/length'],
    ['what lists inherit', 'remove', '/config/zones/map'],
    ['a member of what lists inherit', 'add', '/config/zones/map/x'],
    ['a member of what objects inherit', 'add', '/config/limits/toString/x'],
    ['what objects inherit', 'replace', '/config/limits/toString'],
  ])('when it names %s', async (_what, op, path) => {
    const { body } = await rowed([{ op, path, ...(op === 'remove' ? {} : { value: 'Europe/Paris' }) }]);
    expect(body).toMatchObject({ code: 'invalid_change', errors: [{ pointer: '#/patch/0' }] });
    expect([[].map, {}.toString].some((inherited) => Object.hasOwn(inherited, 'x'))).toBe(false);
  });

  it.each([
    ['the root', [{ op: 'remove', path: '' }]],
    ['all configuration', [{ op: 'remove', path: '/config' }]],
    ['a whole folder', [{ op: 'replace', path: '/config/role_bindings', value: {} }]],
    ['a prototype', [{ op: 'add', path: '/config/limits/__proto__/x', value: 1 }]],
    ['nothing but tests', [{ op: 'test', path: '/config/limits/request_ttl_s', value: 604800 }]],
    ['no operation', []],
    ['another operation', [{ op: 'move', from: '/config/limits/a', path: '/config/limits/b' }]],
  ])('when it names %s', async (_what, patch) => {
    const { status, body } = await rowed(patch);
    expect(status).toBeGreaterThanOrEqual(400);
    expect(['invalid_request', 'invalid_change']).toContain(body.code);
    expect(Object.hasOwn(Object.prototype, 'x')).toBe(false);
    expect(await countsOf(t.file, ['bundles'])).toEqual({ bundles: 1 });
  });

  it('when it is not there', async () => {
    const { body } = await rowed([limit(10), { op: 'remove', path: '/config/limits/nothing' }]);
    expect(body).toMatchObject({ code: 'invalid_change', errors: [{ pointer: '#/patch/1' }] });
  });

  it('when the data would be invalid', async () => {
    const { body } = await rowed([{ op: 'add', path: '/config/zones/-', value: 'Europe/Atlantis' }]);
    expect(body).toMatchObject({ code: 'invalid_change', errors: [{ pointer: '#/patch' }] });
    expect(body.errors[0].detail).toContain('Europe/Atlantis');
  });

  it.each([
    ['leave a trust rule open', 'replace', 'trust_rules/payments-deploy/claims', {}],
    [
      'let anybody start a trusted job again',
      'remove',
      'trust_rules/payments-deploy/claims/run_attempt',
      null,
    ],
    ['take away the environment of trust rules', 'remove', 'environments/staging', null],
  ])('when it would %s', async (_what, op, path, value) => {
    const { status, body } = await rowed([{ op, path: `/config/${path}`, ...(value && { value }) }]);
    expect([status, body.code, body.errors?.[0].pointer]).toEqual([422, 'invalid_change', '#/patch']);
    expect(body.errors[0].detail).toContain('trust_rules');
  });

  it('when a whole policy is named too', async () => {
    const { body } = await rowed([limit(10)], { policy_hash: `sha256:${'0'.repeat(64)}` });
    expect(body).toMatchObject({ code: 'invalid_request' });
  });

  it('when the caller may not propose it, before anything is built', async () => {
    for (const who of ['avery', 'sam', 'riley']) {
      expect((await rowed([limit(10)], {}, who)).body).toMatchObject({ code: 'policy_denied' });
    }
  });
});

describe('a policy that locks out', () => {
  it.each([
    ['whoever could propose the next one', () => rebound('platform', 'policy-maintainer')],
    ['whoever could approve it', () => rebound('security', 'security-approver')],
    [
      'whoever could approve it, because nobody may see it',
      () => [{ op: 'remove', path: '/config/operations/request.read' }],
    ],
    ['everybody, by requests that expire before anybody could approve them', () => [limit(1)]],
    [
      'everybody, by approvals that it neither asks for nor accepts',
      () => [{ op: 'replace', path: '/config/request_kinds/policy.activate/rule/approvals', value: {} }],
    ],
    [
      'everybody, by a quorum that nobody reaches',
      () => [
        {
          op: 'replace',
          path: '/config/request_kinds/policy.activate/rule/approvals/security-approver',
          value: 9,
        },
      ],
    ],
  ])('%s is refused', async (_whom, patch) => {
    const { status, body } = await rowed(patch());
    expect([status, body.code]).toEqual([422, 'invalid_change']);
    expect(body.detail).toContain('nobody could activate another one');
  });

  it('all but the revoked is refused: they can neither propose nor approve', async () => {
    const order = { kind: 'subject', value: 'person:demo:sam', incident: 'INC-1', reason: 'a test' };
    expect((await t.call('riley', 'POST', '/v1/revocations', order)).status).toBe(201);
    expect((await rowed([limit(1000)])).body).toMatchObject({
      code: 'invalid_change',
      detail: expect.stringContaining('nobody could activate another one'),
    });
  });

  it('not, but lets in somebody where the active one lets nobody, needs to be said too', async () => {
    const fresh = await startTestBroker();
    try {
      await signIn(fresh, ['morgan', 'jordan']);
      const path = '/config/request_kinds/policy.activate/rule/approvals/security-approver';
      const patch = [{ op: 'remove', path }];
      const content = { kind: 'policy.activate', patch, reason: 'a test' };
      const { body } = await fresh.call('morgan', 'POST', '/v1/requests', content);
      expect(body).toMatchObject({ code: 'invalid_change', errors: [{ pointer: '#/weakens_activation' }] });
    } finally {
      await fresh.close();
    }
  });

  it('for fewer approvals needs to be said, and everybody sees it', async () => {
    const fewer = [
      { op: 'remove', path: '/config/request_kinds/policy.activate/rule/approvals/security-approver' },
    ];
    const silent = await rowed(fewer);
    expect(silent.body).toMatchObject({
      code: 'invalid_change',
      errors: [{ pointer: '#/weakens_activation' }],
    });
    const said = await rowed(fewer, { weakens_activation: true });
    expect(said.body).toMatchObject({ state: 'pending', object: { weakens_activation: true } });
    expect(said.body.summary).toContain('needs fewer approvals');
  });
});

describe('a calendar that closes activations', () => {
  it.each([
    [
      'a blackout',
      {
        op: 'add',
        path: '/config/blackouts/audit',
        value: {
          zone: 'Europe/Berlin',
          start: { date: '2026-11-18', hour: 0, minute: 0 },
          end: { date: '2026-11-19', hour: 24, minute: 0 },
          reason: 'An audit.',
          request_kinds: ['policy.activate'],
        },
      },
    ],
    [
      'a window at another time',
      {
        op: 'replace',
        path: '/config/request_kinds/policy.activate/rule/windows',
        value: ['maintenance-night-new-york'],
      },
    ],
  ])('is no lock-out: %s ends within 14 days', async (_what, closing) => {
    const { body } = await rowed([closing]);
    expect(body).toMatchObject({ state: 'pending' });
    expect(await approved(body)).toMatchObject({ state: 'applied' });
    const next = await rowed([limit(5000)]);
    expect(next.body).toMatchObject({ state: 'pending' });
    expect(await approved(next.body)).toMatchObject({ state: 'ready' });
  });
});
