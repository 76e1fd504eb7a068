import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readRevocations } from '../support/sqlite/rows.ts';
import {
  create,
  ERROR,
  find,
  isIn,
  patch,
  scim,
  seeDana,
  start,
  stop,
  t,
  USER,
  user,
} from './scim-support.ts';

beforeEach(() => start());

afterEach(stop);

describe('looking users up', () => {
  it('finds created users by each name, in any case but of the id, and nobody else', async () => {
    await create('emp-1001', 'emp-1002');
    for (const filter of [
      'userName eq "emp-1001@example.com"',
      'userName eq "EMP-1001@Example.com"',
      'externalId eq "EMP-1001"',
      'USERNAME EQ "emp-1001@example.com"',
      `${USER}:userName eq "emp-1001@example.com"`,
      'id eq "emp-1001"',
    ]) {
      const { status, body } = await scim('GET', `/Users?filter=${encodeURIComponent(filter)}`);
      expect(status).toBe(200);
      expect(body).toMatchObject({ totalResults: 1, startIndex: 1, itemsPerPage: 1 });
      expect(body.Resources).toMatchObject([{ id: 'emp-1001', active: true }]);
    }
    expect(await find('id eq "EMP-1001"')).toEqual([]);
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

  it('pages through those who were created, disabled or not', async () => {
    await seeDana();
    await create('emp-0001', 'emp-0002');
    await scim('PATCH', '/Users/emp-0001', patch({ op: 'replace', value: { active: false } }));
    const list = async (query: string) => (await scim('GET', `/Users?${query}`)).body;
    const all = await list('');
    expect(all.Resources.map(({ id, active }: { id: string; active: boolean }) => [id, active])).toEqual([
      ['emp-0001', false],
      ['emp-0002', true],
    ]);
    expect(await list('startIndex=2&count=1')).toMatchObject({
      totalResults: 2,
      startIndex: 2,
      Resources: [{ id: 'emp-0002' }],
    });
    expect(await list('startIndex=0&count=0')).toMatchObject({
      totalResults: 2,
      startIndex: 1,
      Resources: [],
    });
  });

  it('answers 404 for an id that was never created, whoever it names, with every method', async () => {
    await seeDana();
    await create('emp-1004');
    // A provider speaks of humans: it takes no job's access away, nor one account's of several.
    const principals = ['workload%3Apayments-deploy%3Arepo', 'agent%3Ax%3Ay', 'person%3Ademo%3Acasey'];
    for (const id of ['emp-1001', 'emp-9999', 'EMP-1004', '%20emp', 'emp%E2%80%8B', ...principals]) {
      for (const [method, body] of [
        ['GET', undefined],
        ['PATCH', patch({ op: 'replace', path: 'active', value: false })],
        ['PATCH', patch({ op: 'replace', path: 'active[]', value: false })],
        ['PUT', { schemas: [USER], active: false }],
        ['DELETE', undefined],
      ] as const) {
        const answer = await scim(method, `/Users/${id}`, body);
        expect(answer.body).toMatchObject({ schemas: [ERROR], status: '404' });
      }
    }
    const created = await scim('POST', '/Users', { externalId: 'workload:payments-deploy:x', active: false });
    expect(created.body).toMatchObject({ schemas: [ERROR], status: '400' });
    expect(readRevocations(t.file)).toEqual([]);
  });
});

describe('creating and deleting users', () => {
  it('creates somebody who has only signed in (201), then refuses (409), as the filters say', async () => {
    await seeDana();
    const dana = user('EMP-1001', {
      userName: 'Dana@example.com',
      name: { givenName: 'D', familyName: '' },
      emails: [{ primary: true, value: 'dana@example.com', type: 'work' }],
      displayName: 'Dana',
      locale: 'en-US',
      groups: [],
      password: '1mz050nq',
    });
    const filters = ['userName eq "dana@example.com"', 'externalId eq "emp-1001"', 'id eq "emp-1001"'];
    for (const filter of filters) expect(await find(filter)).toEqual([]);
    expect((await scim('GET', '/Users')).body.totalResults).toBe(0);
    const created = await scim('POST', '/Users', dana);
    expect(created.status).toBe(201);
    expect(created.headers.get('location')).toBe(created.body.meta.location);
    expect(created.body).toMatchObject({
      id: 'emp-1001',
      userName: 'Dana@example.com',
      externalId: 'EMP-1001',
      active: true,
    });
    expect((await scim('GET', '/Users/emp-1001')).body).toEqual(created.body);
    for (const filter of filters) expect(await find(filter)).toEqual(['emp-1001']);
    for (const again of [
      dana,
      user('emp-1001', { userName: 'other@example.com' }),
      user('emp-1004', { userName: 'dana@EXAMPLE.com' }),
    ]) {
      expect((await scim('POST', '/Users', again)).body).toMatchObject({
        status: '409',
        scimType: 'uniqueness',
      });
    }
    await scim('PATCH', '/Users/emp-1001', patch({ op: 'Replace', path: 'active', value: 'False' }));
    expect(await isIn('dana')).toBe(false);
  });

  it('creates a user once, however many ask at the same time', async () => {
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => scim('POST', '/Users', user('emp-1004'))),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([201, ...Array(7).fill(409)]);
  });

  it('takes a deleted user out of sight, and in again only if the creation says so', async () => {
    await create('emp-1001');
    expect((await scim('DELETE', '/Users/emp-1001')).status).toBe(204);
    expect((await scim('DELETE', '/Users/emp-1001')).status).toBe(404);
    expect((await scim('GET', '/Users/emp-1001')).status).toBe(404);
    expect(
      (await scim('PATCH', '/Users/emp-1001', patch({ op: 'replace', value: { active: true } }))).status,
    ).toBe(404);
    expect((await scim('GET', '/Users')).body.totalResults).toBe(0);
    expect(await isIn('dana')).toBe(false);
    for (const [said, isBack] of [
      [{}, false],
      [{ active: false }, false],
      [{ active: true }, true],
    ] as const) {
      const created = await scim('POST', '/Users', { schemas: [USER], externalId: 'emp-1001', ...said });
      expect({ status: created.status, active: created.body.active }).toEqual({
        status: 201,
        active: isBack,
      });
      expect(await isIn('dana')).toBe(isBack);
      expect((await scim('DELETE', '/Users/emp-1001')).status).toBe(204);
    }
  });

  it('lifts nothing that an incident revoked, by creating the user anew', async () => {
    await create('emp-1001');
    await scim('DELETE', '/Users/emp-1001');
    const order = { kind: 'subject', value: 'emp-1001', incident: 'INC-1', reason: 'x' };
    await t.call('riley', 'POST', '/v1/revocations', order);
    await create('emp-1001');
    expect(await isIn('dana')).toBe(false);
    const { items } = (await t.call('avery', 'GET', '/v1/revocations')).body;
    expect(items.filter((item: { cause: string }) => item.cause === 'incident')).toHaveLength(1);
  });

  it.each(['POST', 'PUT', 'PATCH'])(
    'a %s that says nothing of active enables nobody who was disabled',
    async (method) => {
      await create('emp-1001');
      await scim('PUT', '/Users/emp-1001', { schemas: [USER], active: false });
      const path = method === 'POST' ? '/Users' : '/Users/emp-1001';
      const silent = { schemas: [USER], userName: 'd@example.com', externalId: 'emp-1001' };
      const body =
        method === 'PATCH' ? patch({ op: 'replace', value: { userName: 'd@example.com' } }) : silent;
      if (method === 'POST') await scim('DELETE', '/Users/emp-1001');
      const answer = await scim(method, path, body);
      expect(answer.body).toMatchObject({ userName: 'd@example.com', active: false });
      expect(await isIn('dana')).toBe(false);
    },
  );
});

describe('a rename', () => {
  /** Entra deletes softly: it puts the object id before the name, in the message that disables. */
  const ENTRA = patch(
    { op: 'Replace', path: 'userName', value: 'b0c7d8d21f4f4bd0a3e8dana@example.com' },
    { op: 'Replace', path: 'active', value: 'False' },
    { op: 'Add', path: 'externalId', value: 'dana' },
  );

  it.each<[string, Record<string, unknown>, object]>([
    ['the name that configuration selects', { attribute: 'userName' }, { userName: 'emp-1001' }],
    ['another name', { attribute: 'externalId' }, { externalId: 'emp-1001' }],
  ])('of %s, with active "False" in one message, succeeds and disables', async (_, naming, names) => {
    await t.close();
    await start(naming);
    await scim('POST', '/Users', user('x', { externalId: 'x', userName: 'x', ...names }));
    const answer = await scim('PATCH', '/Users/emp-1001', ENTRA);
    expect(answer.body).toMatchObject({
      id: 'emp-1001',
      userName: 'b0c7d8d21f4f4bd0a3e8dana@example.com',
      externalId: 'dana',
      active: false,
    });
    expect(await isIn('dana')).toBe(false);
    expect((await scim('GET', '/Users/emp-1001')).body).toEqual(answer.body);
    expect(await find('userName eq "b0c7d8d21f4f4bd0a3e8dana@example.com"')).toEqual(['emp-1001']);
    expect(readRevocations(t.file)).toMatchObject([{ value: 'emp-1001' }]);
    // The restored user has the former name.
    const restored = patch(
      { op: 'Replace', path: 'active', value: 'True' },
      ...Object.entries(names).map(([path, value]) => ({ op: 'Replace', path, value })),
    );
    expect((await scim('PATCH', '/Users/emp-1001', restored)).body).toMatchObject({ active: true });
    expect(await isIn('dana')).toBe(true);
  });

  it('never moves the user to another person', async () => {
    await create('emp-1001');
    const renamed = await scim('PUT', '/Users/emp-1001', user('emp-1002', { userName: 'alex@example.com' }));
    expect(renamed.body).toMatchObject({ id: 'emp-1001', externalId: 'emp-1002', active: true });
    await scim('PATCH', '/Users/emp-1001', patch({ op: 'replace', value: { active: false } }));
    expect([await isIn('dana'), await isIn('alex')]).toEqual([false, true]);
    // Whom it names now is still a person without a user, who can be created and disabled.
    expect(await find('externalId eq "emp-1002"')).toEqual([]);
    await create('emp-1002');
    expect((await scim('DELETE', '/Users/emp-1002')).status).toBe(204);
    expect(await isIn('alex')).toBe(false);
  });

  it('enables nobody under the name of another person', async () => {
    await create('emp-1001');
    await scim('PATCH', '/Users/emp-1001', patch({ op: 'replace', value: { active: false } }));
    const other = user('emp-2001', { userName: 'emp-1001@example.com' });
    expect((await scim('PUT', '/Users/emp-1001', other)).body).toMatchObject({ scimType: 'mutability' });
    expect(await isIn('dana')).toBe(false);
    expect((await scim('GET', '/Users/emp-1001')).body).toMatchObject({ externalId: 'emp-1001' });
  });

  it('is decided and recorded', async () => {
    await create('emp-1001');
    await scim(
      'PATCH',
      '/Users/emp-1001',
      patch({ op: 'replace', path: 'userName', value: 'd@example.com' }),
    );
    const { items } = (await t.call('avery', 'GET', '/v1/decisions?operation=principal.enable')).body;
    expect(items.map((item: { outcome: object }) => item.outcome)).toMatchObject([
      { note: { code: 'enabled', detail: 'subject emp-1001, renamed' } },
      { note: { code: 'enabled', detail: 'subject emp-1001' } },
    ]);
  });
});
