import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { exchange, type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { approve, createFlag, propose, TICKET } from '../support/flags.ts';
import { findContradictions } from '../support/log-oracle.ts';
import { readRevocations } from '../support/sqlite/rows.ts';

const PATCH_OP = 'urn:ietf:params:scim:api:messages:2.0:PatchOp';
const USER = 'urn:ietf:params:scim:schemas:core:2.0:User';
const ERROR = 'urn:ietf:params:scim:api:messages:2.0:Error';

let t: TestBroker;
let provisioner: string;

/** The shipped policy with a rule for the identity provider's own workload, as an operator would add it. */
function withProvisioner(data: unknown): unknown {
  const { config } = data as {
    config: {
      trust_rules: Record<string, { grant: object; claims: object }>;
      role_bindings: { trust_rules: Record<string, unknown> };
    };
  };
  const { person: _, ...rule } = { person: null, ...config.trust_rules['payments-deploy'] };
  config.trust_rules.provisioning = {
    ...rule,
    claims: { ...rule.claims, repository_id: '456795' },
    grant: {
      audiences: ['control'],
      operations: ['principal.read', 'principal.disable', 'principal.enable'],
      environments: ['*'],
      namespaces: ['*'],
      token_ttl_s: 600,
    },
  };
  config.role_bindings.trust_rules.provisioning = [
    { roles: ['provisioner'], namespaces: ['*'], environments: ['*'] },
  ];
  return data;
}

async function start(provisioning: Record<string, unknown> = {}): Promise<void> {
  t = await startTestBroker({ editData: withProvisioner, config: { provisioning } });
  const subject = await t.ci.token({ repository_id: '456795' });
  provisioner = (await exchange(t.url, subject)).body.access_token;
}

beforeEach(() => start());

afterEach(async () => {
  expect(await findContradictions(t.file)).toEqual([]);
  await t.close();
});

function scim(
  method: string,
  path: string,
  body?: unknown,
  who: string | null = provisioner,
): Promise<Reply> {
  return t.call(who, method, `/scim/v2${path}`, body, { 'content-type': 'application/scim+json' });
}

const patch = (...Operations: unknown[]) => ({ schemas: [PATCH_OP], Operations });
const isIn = async (who: string) => (await t.call(who, 'GET', '/v1/whoami')).status === 200;

/** Has dana be seen, and that be written down. */
async function seeDana(): Promise<void> {
  await t.call('dana', 'GET', '/v1/whoami');
  t.clock.advance(60_000);
  await t.broker.scheduler.tick();
}

describe('a person whom the identity provider disables', () => {
  it.each<[string, unknown]>([
    ['Okta', patch({ op: 'replace', value: { active: false } })],
    ['Entra', patch({ op: 'Replace', path: 'active', value: 'False' })],
    ['Entra, with the flag for RFC compliance', patch({ op: 'replace', path: 'active', value: false })],
    [
      'Entra, with other attributes',
      patch(
        { op: 'Add', path: 'displayName', value: 'Dana' },
        { op: 'Replace', path: 'emails[type eq "work"].value', value: 'dana@example.com' },
        { op: 'Replace', path: 'active', value: 'False' },
      ),
    ],
    ['a client that names the schema', patch({ op: 'REPLACE', path: `${USER}:active`, value: false })],
    ['a client with its own case', patch({ op: 'replace', value: { Active: 'false' } })],
  ])('by the PATCH of %s loses everything at once', async (_, body) => {
    const token = await t.people.idToken('dana');
    const answer = await scim('PATCH', '/Users/emp-1001', body);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toMatch(/^application\/scim\+json/);
    expect(answer.body).toEqual({
      schemas: [USER],
      id: 'emp-1001',
      externalId: 'emp-1001',
      userName: 'emp-1001',
      active: false,
      meta: { resourceType: 'User', location: `${t.url}/scim/v2/Users/emp-1001` },
    });
    expect((await t.call(token, 'GET', '/v1/whoami')).status).toBe(401);
    for (const who of ['dana', 'dana-alt']) expect(await isIn(who)).toBe(false);
    expect(await isIn('alex')).toBe(true);
  });

  it.each<[string, string, unknown]>([
    [
      'PUT',
      'active false',
      { schemas: [USER], externalId: 'emp-1001', userName: 'dana@example.com', active: false },
    ],
    ['DELETE', 'nothing', undefined],
  ])('by %s with %s is refused too', async (method, _, body) => {
    expect((await scim(method, '/Users/emp-1001', body)).status).toBe(method === 'PUT' ? 200 : 204);
    expect(await isIn('dana')).toBe(false);
  });

  it('has requests parked and approvals void, and goes on when enabled', async () => {
    await createFlag(t, 'checkout');
    await createFlag(t, 'danger', { tier: 'high-risk' });
    const { body: own } = await propose(t, [{ action: 'enable', flag: 'checkout' }], { ticket: TICKET });
    const { body: other } = await propose(t, [{ action: 'enable', flag: 'danger' }], { ticket: TICKET });
    await approve(t, 'alex+mfa', other);
    await scim('PATCH', '/Users/emp-1001', patch({ op: 'replace', value: { active: false } }));
    await scim('PATCH', '/Users/emp-1002', patch({ op: 'replace', value: { active: false } }));
    expect((await approve(t, 'sam', own)).body.gates).toMatchObject([{ code: 'parked' }]);
    for (const id of ['emp-1001', 'emp-1002']) {
      const enabled = await scim(
        'PATCH',
        `/Users/${id}`,
        patch({ op: 'Replace', path: 'active', value: 'True' }),
      );
      expect(enabled.body.active).toBe(true);
    }
    await t.broker.scheduler.tick();
    const read = async (id: string) => (await t.call('avery', 'GET', `/v1/requests/${id}`)).body;
    expect((await read(own.id)).state).toBe('applied');
    expect((await read(other.id)).approvals).toMatchObject([{ person: 'emp-1002', counts: false }]);
    expect(await isIn('dana')).toBe(true);
  });

  it('can be disabled before the first sign-in, which is then refused', async () => {
    expect(
      (await scim('PATCH', '/Users/emp-1004', patch({ op: 'replace', value: { active: false } }))).status,
    ).toBe(200);
    expect(await isIn('casey')).toBe(false);
    const created = { schemas: [USER], userName: 'avery@example.com', externalId: 'EMP-1007', active: false };
    expect((await scim('POST', '/Users', created)).body).toMatchObject({ id: 'emp-1007', active: false });
    expect(await isIn('morgan')).toBe(false);
  });

  it('is disabled once, however often that is requested, and each request is recorded', async () => {
    for (let round = 0; round < 3; round += 1) {
      await scim('PATCH', '/Users/emp-1001', patch({ op: 'replace', value: { active: false } }));
    }
    expect((await t.call('avery', 'GET', '/v1/revocations')).body.items).toMatchObject([
      { kind: 'subject', value: 'emp-1001', cause: 'provisioning' },
    ]);
    const { items } = (await t.call('avery', 'GET', '/v1/decisions?operation=principal.disable')).body;
    expect(items).toHaveLength(3);
    expect(items[0]).toMatchObject({
      principal: { kind: 'workload', trust_rule: 'provisioning' },
      outcome: { effect: 'allow', note: { code: 'disabled', detail: 'subject emp-1001' } },
    });
  });

  it('stays out when somebody here revoked them, whatever the provider enables', async () => {
    const order = { kind: 'subject', value: 'emp-1001', incident: 'INC-1', reason: 'x' };
    await t.call('riley', 'POST', '/v1/revocations', order);
    await scim('PATCH', '/Users/emp-1001', patch({ op: 'replace', value: { active: false } }));
    await scim('PATCH', '/Users/emp-1001', patch({ op: 'replace', value: { active: true } }));
    expect(await isIn('dana')).toBe(false);
    const { items } = (await t.call('avery', 'GET', '/v1/revocations')).body;
    expect(items.filter((item: { cause: string }) => item.cause === 'incident')).toHaveLength(1);
  });

  it('signs in again when enabled: what they held before stays revoked', async () => {
    const former = await t.people.idToken('dana');
    t.clock.advance(60_000);
    for (const active of [false, true]) {
      await scim('PATCH', '/Users/emp-1001', patch({ op: 'replace', value: { active } }));
    }
    expect((await t.call(former, 'GET', '/v1/requests')).status).toBe(401);
    expect(await isIn('dana')).toBe(true);
    expect((await scim('GET', '/Users/emp-1001')).body.active).toBe(true);
  });

  it('survives a restart', async () => {
    await scim('PATCH', '/Users/emp-1001', patch({ op: 'replace', value: { active: false } }));
    await t.restart();
    expect(await isIn('dana')).toBe(false);
  });
});

describe('looking users up', () => {
  it('finds known users by either name, in any case, and nobody else', async () => {
    await seeDana();
    for (const filter of [
      'userName eq "emp-1001"',
      'externalId eq "EMP-1001"',
      'USERNAME EQ "emp-1001"',
      `${USER}:userName eq "emp-1001"`,
      'id eq "emp-1001"',
    ]) {
      const { status, body } = await scim('GET', `/Users?filter=${encodeURIComponent(filter)}`);
      expect(status).toBe(200);
      expect(body).toMatchObject({ totalResults: 1, startIndex: 1, itemsPerPage: 1 });
      expect(body.Resources).toMatchObject([{ id: 'emp-1001', active: true }]);
    }
    // The test call of Entra: somebody who cannot be there.
    const { body } = await scim('GET', '/Users?filter=userName%20eq%20%22b0c7d8d2%22');
    expect(body).toEqual({
      schemas: ['urn:ietf:params:scim:api:messages:2.0:ListResponse'],
      totalResults: 0,
      startIndex: 1,
      itemsPerPage: 0,
      Resources: [],
    });
  });

  it.each([
    'userName co "x"',
    'emails eq "x"',
    'userName eq x',
    'userName eq "x" or active eq true',
    'userName eq "',
  ])('refuses the filter %s in the shape of SCIM', async (filter) => {
    const { status, body } = await scim('GET', `/Users?filter=${encodeURIComponent(filter)}`);
    expect(status).toBe(400);
    expect(body).toMatchObject({ schemas: [ERROR], status: '400', scimType: 'invalidFilter' });
  });

  it('pages through those who are known, with those who are disabled', async () => {
    await seeDana();
    await scim('PATCH', '/Users/emp-0001', patch({ op: 'replace', value: { active: false } }));
    const list = async (query: string) => (await scim('GET', `/Users?${query}`)).body;
    const all = await list('');
    expect(all.Resources.map(({ id, active }: { id: string; active: boolean }) => [id, active])).toEqual([
      ['emp-0001', false],
      ['emp-1001', true],
    ]);
    expect(await list('startIndex=2&count=1')).toMatchObject({
      totalResults: 2,
      startIndex: 2,
      Resources: [{ id: 'emp-1001' }],
    });
    expect(await list('startIndex=0&count=0')).toMatchObject({
      totalResults: 2,
      startIndex: 1,
      Resources: [],
    });
  });

  it('answers an id that was linked before the first sign-in, and none that is not a name', async () => {
    expect((await scim('GET', '/Users/emp-1004')).body).toMatchObject({ id: 'emp-1004', active: true });
    // A provider speaks of humans: it takes no job's access away, nor one account's of several.
    const principals = ['workload%3Apayments-deploy%3Arepo', 'agent%3Ax%3Ay', 'person%3Ademo%3Acasey'];
    for (const id of ['EMP-1004', '%20emp', 'emp%E2%80%8B', '%EF%BC%91', ...principals]) {
      expect((await scim('GET', `/Users/${id}`)).body).toMatchObject({ schemas: [ERROR], status: '404' });
      expect((await scim('DELETE', `/Users/${id}`)).status).toBe(404);
    }
    const created = await scim('POST', '/Users', { externalId: 'workload:payments-deploy:x', active: false });
    expect(created.body).toMatchObject({ schemas: [ERROR], status: '400' });
    expect(readRevocations(t.file)).toEqual([]);
  });
});

describe('creating and deleting users', () => {
  it('stores nothing for who may come, answers what can be linked, and links nobody twice', async () => {
    const user = {
      schemas: [USER],
      userName: 'Casey@example.com',
      externalId: 'EMP-1004',
      name: { givenName: 'C' },
    };
    const created = await scim('POST', '/Users', user);
    expect(created.status).toBe(201);
    expect(created.headers.get('location')).toBe(created.body.meta.location);
    expect(created.body).toMatchObject({ id: 'emp-1004', active: true });
    expect((await t.call('avery', 'GET', '/v1/revocations?state=all')).body.items).toEqual([]);
    await seeDana();
    const again = await scim('POST', '/Users', { ...user, externalId: 'emp-1001' });
    expect(again.body).toMatchObject({ status: '409', scimType: 'uniqueness' });
  });

  it('takes a deleted user out of sight, and back when they are created again', async () => {
    await seeDana();
    expect((await scim('DELETE', '/Users/emp-1001')).status).toBe(204);
    expect((await scim('DELETE', '/Users/emp-1001')).status).toBe(404);
    expect((await scim('GET', '/Users/emp-1001')).status).toBe(404);
    expect(
      (await scim('PATCH', '/Users/emp-1001', patch({ op: 'replace', value: { active: true } }))).status,
    ).toBe(404);
    expect((await scim('GET', '/Users')).body.totalResults).toBe(0);
    expect(await isIn('dana')).toBe(false);
    expect((await scim('POST', '/Users', { schemas: [USER], externalId: 'emp-1001' })).status).toBe(201);
    expect(await isIn('dana')).toBe(true);
  });

  it('a PUT that says nothing of active makes active again, as its default is', async () => {
    await scim('PUT', '/Users/emp-1001', { schemas: [USER], active: false });
    expect((await scim('PUT', '/Users/emp-1001', { schemas: [USER] })).body.active).toBe(true);
    expect(await isIn('dana')).toBe(true);
  });
});

describe('a message that is not understood', () => {
  it.each<[string, string, string, unknown, number, string]>([
    ['no operations', 'PATCH', '/Users/emp-1001', patch(), 400, 'invalidSyntax'],
    [
      'no schema',
      'PATCH',
      '/Users/emp-1001',
      { Operations: [{ op: 'add', path: 'active', value: true }] },
      400,
      'invalidSyntax',
    ],
    [
      'another operation',
      'PATCH',
      '/Users/emp-1001',
      patch({ op: 'move', path: 'active', value: true }),
      400,
      'invalidSyntax',
    ],
    [
      'a word for active',
      'PATCH',
      '/Users/emp-1001',
      patch({ op: 'replace', path: 'active', value: 'no' }),
      400,
      'invalidValue',
    ],
    [
      'null for active',
      'PATCH',
      '/Users/emp-1001',
      patch({ op: 'replace', value: { active: null } }),
      400,
      'invalidValue',
    ],
    [
      'a value without attributes',
      'PATCH',
      '/Users/emp-1001',
      patch({ op: 'replace', value: false }),
      400,
      'invalidValue',
    ],
    [
      'a removal of active',
      'PATCH',
      '/Users/emp-1001',
      patch({ op: 'remove', path: 'active' }),
      400,
      'mutability',
    ],
    [
      'another name',
      'PATCH',
      '/Users/emp-1001',
      patch({ op: 'replace', path: 'externalId', value: 'emp-1002' }),
      400,
      'mutability',
    ],
    ['no name', 'POST', '/Users', { schemas: [USER], userName: 'x' }, 400, 'invalidValue'],
    ['another schema', 'POST', '/Users', { schemas: ['urn:x'], externalId: 'x' }, 400, 'invalidSyntax'],
    ['no JSON', 'POST', '/Users', '{', 400, 'invalidSyntax'],
  ])(
    'with %s is refused in the shape of SCIM, and changes nothing',
    async (_, method, path, body, status, scimType) => {
      const answer = await scim(method, path, body);
      expect(answer.body).toEqual({
        schemas: [ERROR],
        status: String(status),
        scimType,
        detail: expect.stringMatching(/\S/),
      });
      expect(answer.status).toBe(status);
      expect(await isIn('dana')).toBe(true);
    },
  );

  it.each([
    ['GET', '/Groups', 404],
    ['POST', '/Bulk', 404],
  ])('%s %s is not there', async (method, path, status) => {
    expect((await scim(method, path)).body).toMatchObject({ schemas: [ERROR], status: String(status) });
  });
});

describe('who provisions', () => {
  it('needs a short-lived token, and nobody else may', async () => {
    const off = patch({ op: 'replace', value: { active: false } });
    for (const [who, status] of [
      [null, 401],
      ['dana', 403],
      ['riley', 403],
      [await t.workloadToken(), 403],
    ] as const) {
      for (const answer of [
        await scim('PATCH', '/Users/emp-1002', off, who),
        await scim('DELETE', '/Users/emp-1002', undefined, who),
        await scim('GET', '/Users', undefined, who),
        await scim('GET', '/Users/emp-1002', undefined, who),
        await scim('POST', '/Users', { schemas: [USER], externalId: 'emp-1002', active: false }, who),
      ]) {
        expect(answer.body).toMatchObject({ schemas: [ERROR], status: String(status) });
      }
    }
    expect(await isIn('alex')).toBe(true);
    t.clock.advance(700_000);
    expect((await scim('GET', '/Users')).status).toBe(401);
  });

  it('says what it supports to everybody', async () => {
    const { status, body } = await scim('GET', '/ServiceProviderConfig', undefined, null);
    expect(status).toBe(200);
    expect(body).toMatchObject({
      patch: { supported: true },
      bulk: { supported: false },
      filter: { supported: true },
    });
  });

  it('may name people by another attribute, with a prefix, as the configuration says', async () => {
    await t.close();
    await start({ attribute: 'userName', prefix: 'demo:' });
    const created = await scim('POST', '/Users', {
      schemas: [USER],
      userName: 'Zoe',
      externalId: '00u1',
      active: false,
    });
    expect(created.body).toMatchObject({ id: 'demo:zoe', userName: 'zoe', active: false });
    expect((await scim('GET', '/Users?filter=userName%20eq%20%22zoe%22')).body.Resources).toMatchObject([
      { id: 'demo:zoe' },
    ]);
    expect((await scim('GET', `/Users/${encodeURIComponent('demo:zoe')}`)).body.active).toBe(false);
  });
});
