import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { approve, createFlag, propose, TICKET } from '../support/flags.ts';
import { create, ERROR, isIn, patch, scim, start, stop, t, USER, user } from './scim-support.ts';

beforeEach(() => start());

afterEach(stop);

describe('a person whom the identity provider disables', () => {
  beforeEach(() => create('emp-1001', 'emp-1002'));

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
      userName: 'emp-1001@example.com',
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
    await create('emp-1004');
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

describe('a deactivation in a message with a fault (a deviation from RFC 7644 section 3.5.2)', () => {
  const off = { op: 'replace', path: 'active', value: false };

  it.each<[string, string, unknown, number, string]>([
    ['an unknown operation', 'PATCH', patch({ op: 'move', path: 'title' }, off), 400, 'invalidSyntax'],
    ['an operation that is none', 'PATCH', patch(null, off), 400, 'invalidSyntax'],
    [
      'a path outside of the grammar',
      'PATCH',
      patch(off, { op: 'add', path: '', value: 1 }),
      400,
      'invalidPath',
    ],
    ['a removal of a name', 'PATCH', patch(off, { op: 'remove', path: 'userName' }), 400, 'mutability'],
    [
      'a name that is none',
      'PATCH',
      patch({ op: 'add', value: { externalId: 7, active: 'False' } }),
      400,
      'invalidValue',
    ],
    [
      'an active that is none',
      'PATCH',
      patch(off, { op: 'add', path: 'active', value: 'no' }),
      400,
      'invalidValue',
    ],
    [
      'a name that is taken',
      'PATCH',
      patch({ op: 'add', path: 'userName', value: 'EMP-1002@example.com' }, off),
      409,
      'uniqueness',
    ],
    [
      'a whole user with a name that is none',
      'PUT',
      { ...user('emp-1001'), userName: 7, active: false },
      400,
      'invalidValue',
    ],
    [
      'a whole user with a member outside of the grammar',
      'PUT',
      { schemas: [USER], '.x': 1, active: false },
      400,
      'invalidSyntax',
    ],
    [
      'more operations than are read',
      'PATCH',
      patch(off, ...Array.from({ length: 100 }, () => ({ op: 'add', path: 'nickName', value: 'd' }))),
      400,
      'invalidSyntax',
    ],
    [
      'another schema',
      'PATCH',
      { ...patch(off), schemas: ['urn:ietf:params:scim:api:messages:2.0:Other'] },
      400,
      'invalidSyntax',
    ],
    ['a whole user of another schema', 'PUT', { schemas: ['urn:x:y'], active: false }, 400, 'invalidSyntax'],
  ])('beside %s is carried out and recorded, alone', async (_, method, body, status, scimType) => {
    await create('emp-1001', 'emp-1002');
    const before = (await scim('GET', '/Users/emp-1001')).body;
    const answer = await scim(method, '/Users/emp-1001', body);
    expect(answer.body).toMatchObject({ schemas: [ERROR], status: String(status), scimType });
    expect(answer.body.detail).toContain('The user was disabled anyway');
    expect(await isIn('dana')).toBe(false);
    expect((await scim('GET', '/Users/emp-1001')).body).toEqual({ ...before, active: false });
    const { items } = (await t.call('avery', 'GET', '/v1/decisions?operation=principal.disable')).body;
    expect(items).toMatchObject([
      { outcome: { note: { code: 'disabled', detail: expect.stringContaining('RFC 7644 section 3.5.2') } } },
    ]);
  });

  it.each<[string, unknown]>([
    ['an enabling', patch({ op: 'add', path: 'active', value: true }, { op: 'add', path: '', value: 1 })],
    ['a rename', patch({ op: 'add', path: 'userName', value: 'd' }, { op: 'add', path: '', value: 1 })],
    ['a withdrawn deactivation', patch(off, { ...off, value: true }, { op: 'add', path: '', value: 1 })],
  ])('does not carry out %s', async (_, body) => {
    await create('emp-1001', 'emp-1004');
    await scim('PATCH', '/Users/emp-1004', patch(off));
    for (const id of ['emp-1001', 'emp-1004']) {
      const before = (await scim('GET', `/Users/${id}`)).body;
      expect((await scim('PATCH', `/Users/${id}`, body)).body).toMatchObject({ scimType: 'invalidPath' });
      expect((await scim('GET', `/Users/${id}`)).body).toEqual(before);
    }
  });

  it.each<[string, unknown]>([
    [
      'a number beyond 2^53 in an attribute that is not kept',
      JSON.stringify(patch(off, { op: 'add', path: 'x', value: 7 })).replace(':7}', ':90071992547409931}'),
    ],
    [
      'the value as a list of one complex value',
      patch({ op: 'Replace', path: 'active', value: [{ $ref: null, value: 'False' }] }),
    ],
  ])('is carried out with %s', async (_, body) => {
    await create('emp-1001');
    expect((await scim('PATCH', '/Users/emp-1001', body)).body).toMatchObject({ active: false });
    expect(await isIn('dana')).toBe(false);
  });

  it('is refused with the rest for whoever may not disable', async () => {
    await create('emp-1001');
    const faulty = patch(off, { op: 'add', path: '', value: 1 });
    expect((await scim('PATCH', '/Users/emp-1001', faulty, 'dana')).status).toBe(403);
    expect(await isIn('dana')).toBe(true);
  });
});

describe('a message that is not understood', () => {
  beforeEach(() => create('emp-1001'));

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
    ...['', '.active', 'active[]', 'active[value eq true]', 'active.value', USER].map(
      (path): [string, string, string, unknown, number, string] => [
        `the path "${path}"`,
        'PATCH',
        '/Users/emp-1001',
        patch({ op: 'replace', path, value: true }),
        400,
        'invalidPath',
      ],
    ),
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
    await create('emp-1002');
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
    expect(created.body).toMatchObject({ id: 'demo:zoe', userName: 'Zoe', active: false });
    expect((await scim('GET', '/Users?filter=userName%20eq%20%22zoe%22')).body.Resources).toMatchObject([
      { id: 'demo:zoe' },
    ]);
    expect((await scim('GET', `/Users/${encodeURIComponent('demo:zoe')}`)).body.active).toBe(false);
  });
});
