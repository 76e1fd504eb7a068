import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Config, signIn, withConfig } from '../support/activation.ts';
import { type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { readFixtureBundle } from '../support/bundles.ts';
import { approve, createFlag, propose, readRequest } from '../support/flags.ts';

let t: TestBroker;
let shipped: Buffer;

beforeEach(async () => {
  t = await startTestBroker();
  shipped = await readFile(join(t.folder, 'bundle.tar.gz'));
  await signIn(t);
});

afterEach(() => t.close());

async function upload(archive: Buffer, who = 'morgan'): Promise<Reply> {
  const token = await t.people.idToken(who);
  const response = await fetch(`${t.url}/v1/policy/bundles`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/gzip' },
    body: new Uint8Array(archive),
  });
  return { status: response.status, body: await response.json(), headers: response.headers };
}

/** Stores the shipped bundle with edited data. @returns its policy hash */
async function uploaded(edit: (config: Config) => void): Promise<string> {
  const { status, body } = await upload(await withConfig(shipped, edit));
  expect(status, JSON.stringify(body)).toBe(201);
  return body.policy_hash;
}

const activation = (policy_hash: string, fields: Record<string, unknown> = {}, who = 'morgan') =>
  t.call(who, 'POST', '/v1/requests', { kind: 'policy.activate', policy_hash, reason: 'a test', ...fields });

async function activeHash(): Promise<string> {
  return (await t.call('avery', 'GET', '/v1/policy/activations')).body.items[0].policy_hash;
}

/** Activates with the approvals that the shipped policy asks for. */
async function activated(edit: (config: Config) => void): Promise<string> {
  const hash = await uploaded(edit);
  const { body } = await activation(hash);
  await approve(t, 'jordan', body);
  expect((await approve(t, 'sam', body)).body).toMatchObject({ state: 'applied' });
  return hash;
}

/** A binding more: whoever is in this group may propose in the namespace. */
function addBinding(config: Config, group = 'customer-success'): void {
  const groups = config.role_bindings?.groups as Record<string, Record<string, unknown[]>>;
  const own = Object.values(groups)[0] ?? {};
  own[group] = [
    ...(own[group] ?? []),
    { roles: ['flag-deployer', 'flag-reader'], namespaces: ['payments'], environments: ['*'] },
  ];
}

const limited = (seconds: number) => (config: Config) => {
  (config.limits ?? {}).request_ttl_s = seconds;
};

describe('activating a policy', () => {
  it('takes two persons of two roles besides its author, and is effective on the next call', async () => {
    const flag = await createFlag(t, 'checkout', { tier: 'informational' });
    const enable = () => propose(t, [{ action: 'enable', flag }], {}, 'casey');
    expect((await enable()).status).toBe(403);

    const hash = await uploaded(addBinding);
    const { status, body: request } = await activation(hash);
    expect([status, request.state, request.kind]).toEqual([201, 'pending', 'policy.activate']);
    expect(request.standing.obligations).toEqual([
      { kind: 'approval', role: 'policy-maintainer', count: 1 },
      { kind: 'approval', role: 'security-approver', count: 1 },
    ]);
    expect(request.summary).toContain(`activate policy ${hash}`);
    expect((await approve(t, 'morgan', request)).body).toMatchObject({ code: 'policy_denied' });
    expect((await approve(t, 'riley', request)).body).toMatchObject({ code: 'policy_denied' });
    expect((await approve(t, 'dana', request)).body).toMatchObject({ code: 'not_found' });
    expect((await approve(t, 'jordan', request)).body).toMatchObject({ state: 'pending' });
    expect(await activeHash()).not.toBe(hash);
    expect((await approve(t, 'sam', request)).body).toMatchObject({ state: 'applied' });

    expect(await activeHash()).toBe(hash);
    expect((await enable()).body).toMatchObject({ state: 'applied', standing: { policy_hash: hash } });
  });

  it('survives a restart, and is a record with its request, its policy and its successor', async () => {
    const before = await activeHash();
    const hash = await activated(limited(1000));
    await t.restart();
    expect(await activeHash()).toBe(hash);
    const activations = (await t.call('morgan', 'GET', '/v1/policy/activations')).body.items;
    const decision = (await t.call('avery', 'GET', `/v1/decisions/${activations[0].decision_id}`)).body;
    expect(decision).toMatchObject({ policy_hash: before, record: { activates: { hash } } });
    expect(activations).toMatchObject([
      { number: 2, policy_hash: hash, request_id: decision.request.id },
      { number: 1, policy_hash: before, request_id: null },
    ]);
  });

  it('back to an older policy that asks for no approval is held by the active one', async () => {
    const lax = await uploaded((config) => {
      const kind = config.request_kinds?.['policy.activate'] as { rule: { approvals: object } };
      kind.rule.approvals = { 'policy-maintainer': 1 };
    });
    const silent = await activation(lax);
    expect(silent.body).toMatchObject({
      code: 'invalid_change',
      errors: [{ pointer: '#/weakens_activation', detail: expect.stringContaining('1 in place of 2') }],
    });
    const { body } = await activation(lax, { weakens_activation: true });
    expect(body).toMatchObject({ state: 'pending', object: { weakens_activation: true } });
    expect(body.summary).toContain('fewer approvals');
    expect(await activeHash()).not.toBe(lax);
  });

  it('to a stored policy is a request like any other', async () => {
    const first = await activeHash();
    await activated(limited(1000));
    const { body } = await activation(first);
    await approve(t, 'jordan', body);
    expect((await approve(t, 'sam', body)).body).toMatchObject({ state: 'applied' });
    expect(await activeHash()).toBe(first);
  });

  it('conflicts when another one came first', async () => {
    const [one, two] = [await uploaded(limited(1000)), await uploaded(limited(2000))];
    const [first, second] = [(await activation(one)).body, (await activation(two)).body];
    for (const request of [first, second]) await approve(t, 'jordan', request);
    const [applied, late] = await Promise.all([approve(t, 'sam', first), approve(t, 'sam', second)]);
    const states = [applied.body.state, late.body.state];
    expect(states.toSorted()).toEqual(['applied', 'conflicted']);
    expect(await activeHash()).toBe(states[0] === 'applied' ? one : two);
  });

  it.each([
    ['everything', { scope: 'all' }],
    ['an environment', { scope: 'environment', environment: 'production' }],
  ])('waits for the end of a freeze of %s, whoever has approved', async (_what, scope) => {
    const hash = await uploaded(limited(1000));
    const { body: request } = await activation(hash);
    await approve(t, 'jordan', request);
    const order = { ...scope, incident: 'INC-1', reason: 'a test' };
    const { body: freeze } = await t.call('riley', 'POST', '/v1/freezes', order);
    expect((await approve(t, 'sam', request)).body.state).not.toBe('applied');
    expect(await activeHash()).not.toBe(hash);
    expect((await activation(hash)).body).toMatchObject({ code: 'policy_denied' });

    const lift = { kind: 'freeze.lift', freeze: freeze.id, reason: 'over' };
    const { body: lifting } = await t.call('riley', 'POST', '/v1/requests', lift);
    expect((await approve(t, 'sam', lifting)).body).toMatchObject({ state: 'applied' });
    await t.broker.scheduler.tick();
    expect(await readRequest(t, request.id).catch(() => null)).toBeDefined();
    expect((await t.call('morgan', 'GET', `/v1/requests/${request.id}`)).body).toMatchObject({
      state: 'applied',
    });
  });

  it('is not proposed by a developer, and approvals count for exactly these bytes', async () => {
    const hash = await uploaded(limited(1000));
    expect((await activation(hash, {}, 'dana')).body).toMatchObject({ code: 'policy_denied' });
    const { body: request } = await activation(hash);
    expect(request.bases.map(({ of }: { of: string }) => of)).toEqual([
      'policy:active',
      `bundle:${request.object.archive_digest}`,
      expect.stringMatching(/^report:sha256:[0-9a-f]{64}$/),
    ]);
  });

  it('that is active already, or not stored, is refused with what to do', async () => {
    const active = await activation(await activeHash());
    expect([active.status, active.body.code]).toEqual([422, 'invalid_change']);
    const missing = await activation(`sha256:${'0'.repeat(64)}`);
    expect([missing.status, missing.body.code]).toEqual([404, 'not_found']);
  });
});

describe('an upload', () => {
  it('stores the same bytes once, and is downloaded as it was sent, with an entity tag', async () => {
    const archive = await withConfig(shipped, limited(1000));
    const [one, again] = [await upload(archive), await upload(archive)];
    expect(again.body).toEqual(one.body);
    const headers = { authorization: `Bearer ${await t.people.idToken('avery')}` };
    const path = `${t.url}/v1/policy/bundles/${one.body.policy_hash}`;
    const got = await fetch(path, { headers });
    expect(Buffer.from(await got.arrayBuffer()).equals(archive)).toBe(true);
    expect(got.headers.get('content-type')).toBe('application/gzip');
    const tag = got.headers.get('etag') ?? '';
    expect((await fetch(path, { headers: { ...headers, 'if-none-match': tag } })).status).toBe(304);
    const active = await fetch(`${t.url}/v1/policy/bundle`, {
      headers: { ...headers, 'if-none-match': tag },
    });
    expect(active.status).toBe(200);
    expect(Buffer.from(await active.arrayBuffer()).equals(shipped)).toBe(true);
  });

  it('holds back no other write while it is checked', async () => {
    const archive = await withConfig(shipped, limited(1000));
    const answered: string[] = [];
    await Promise.all([
      upload(archive).then(({ status }) => answered.push(`upload ${status}`)),
      createFlag(t, 'checkout').then(() => answered.push('flag')),
    ]);
    expect(answered).toEqual(['flag', 'upload 201']);
  });

  it('is for policy-maintainers, and neither stored nor checked for others', async () => {
    const before = (await t.call('morgan', 'GET', '/v1/policy/bundles')).body;
    for (const who of ['dana', 'sam', 'avery']) {
      expect((await upload(Buffer.from('not even an archive'), who)).status).toBe(403);
    }
    expect((await t.call('morgan', 'GET', '/v1/policy/bundles')).body).toEqual(before);
  });

  it.each([
    ['no archive', async () => Buffer.from('hello')],
    [
      'an open trust rule',
      (archive: Buffer) =>
        withConfig(archive, (config) => {
          const [rule] = Object.values(config.trust_rules ?? {}) as { claims?: object }[];
          if (rule !== undefined) rule.claims = {};
        }),
    ],
    [
      'a trust rule for proposals in jobs that anybody starts again',
      (archive: Buffer) =>
        withConfig(archive, (config) => {
          const rule = config.trust_rules?.['payments-deploy'] as { claims: Record<string, unknown> };
          delete rule.claims.run_attempt;
        }),
    ],
    [
      'a trust rule for proposals of agents that does not name who starts their job',
      (archive: Buffer) =>
        withConfig(archive, (config) => {
          const rule = config.trust_rules?.['release-agent'] as { person?: object };
          delete rule.person;
        }),
    ],
    ['a decision that is a text', () => readFixtureBundle('text')],
    ['a policy that needs more memory than it gets', () => readFixtureBundle('bomb')],
    ['a policy with a clock of its own', () => readFixtureBundle('clock')],
    [
      'approvals by no one',
      (archive: Buffer) =>
        withConfig(archive, (config) => {
          const kinds = config.request_kinds as Record<string, { rule: { approvals: object } }>;
          Object.assign(kinds['policy.activate']?.rule ?? {}, { approvals: { 'policy-maintainer': 0 } });
        }),
    ],
    [
      'an unknown zone',
      (archive: Buffer) =>
        withConfig(archive, (config) => {
          (config.zones as unknown as string[]).push('Europe/Atlantis');
        }),
    ],
  ] as [string, (archive: Buffer) => Promise<Buffer>][])(
    'of %s is refused with its fault, and nothing is stored',
    async (_what, make) => {
      const before = (await t.call('morgan', 'GET', '/v1/policy/bundles')).body;
      const { status, body } = await upload(await make(shipped));
      expect([status, body.code]).toEqual([422, 'invalid_bundle']);
      expect(body.detail.length).toBeGreaterThan(20);
      expect((await t.call('morgan', 'GET', '/v1/policy/bundles')).body).toEqual(before);
    },
  );

  it('of another media type, of nothing, or that is too large, is refused', async () => {
    const authorization = `Bearer ${await t.people.idToken('morgan')}`;
    const send = (type: string, body: string | Uint8Array<ArrayBuffer>) =>
      fetch(`${t.url}/v1/policy/bundles`, {
        method: 'POST',
        headers: { authorization, 'content-type': type },
        body,
      });
    expect((await send('application/json', '{}')).status).toBe(415);
    expect((await send('application/gzip', '')).status).toBe(415);
    expect((await send('application/gzip', new Uint8Array(17 * 1024 * 1024))).status).toBe(413);
  });
});
