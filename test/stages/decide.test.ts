import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { signIn } from '../support/activation.ts';
import type { TestBroker } from '../support/broker.ts';
import { creation, proposal, propose } from '../support/flags.ts';
import {
  activated,
  change,
  firstBundle,
  freeFlag,
  proposeActivation,
  SHIPPED_WORDS,
  startStaged,
  upload,
  withWords,
  words,
} from '../support/stages.ts';

/*
 * Which stage decides: staging tries a policy, and production goes on by its own.
 */

let t: TestBroker;

beforeEach(async () => {
  t = await startStaged();
  await signIn(t);
});

afterEach(() => t.close());

const tried = async (text: string) => {
  const policy_hash = await upload(t, await withWords(await firstBundle(t), text));
  return { policy_hash, request: await activated(t, { policy_hash, stage: 'staging' }) };
};

describe('an earlier stage', () => {
  it('decides its environments by its own bundle, and nothing else', async () => {
    const flag = await freeFlag(t, 'checkout');
    const { policy_hash, request } = await tried('Staging tries this.');
    expect(request).toMatchObject({ object: { stage: 'staging', environments: ['development', 'staging'] } });
    const inStaging = await change(t, flag, 'staging');
    expect(inStaging).toMatchObject({
      state: 'applied',
      standing: { policy_hash, reasons: [{ code: 'self_service', detail: words('Staging tries this.') }] },
    });
    const inProduction = await change(t, flag, 'production');
    expect(inProduction.standing.policy_hash).not.toBe(policy_hash);
    expect(inProduction.standing.reasons).toMatchObject([{ detail: SHIPPED_WORDS }]);
    const records = await Promise.all(
      [inStaging, inProduction].map(
        async ({ decision_id }) => (await t.call('avery', 'GET', `/v1/decisions/${decision_id}`)).body,
      ),
    );
    expect(records.map(({ record }) => record.stage)).toEqual(['staging', 'production']);
  });

  it('decides after a restart as before, and each decision is replayed by the bundle that made it', async () => {
    const flag = await freeFlag(t, 'checkout');
    const { policy_hash } = await tried('Staging tries this.');
    await t.restart();
    const changed = [await change(t, flag, 'staging'), await change(t, flag, 'production')];
    expect(changed[0].standing.policy_hash).toBe(policy_hash);
    const replays = await Promise.all(
      changed.map(({ decision_id }) => t.call('avery', 'POST', `/v1/decisions/${decision_id}/replay`)),
    );
    expect(replays.map(({ body }) => body.outcome)).toEqual(['same', 'same']);
  });

  it('has its own role bindings, which grant nothing elsewhere', async () => {
    const flag = await freeFlag(t, 'checkout');
    const path = `/config/role_bindings/groups/${t.people.issuer.replaceAll('/', '~1')}/customer-success/-`;
    const value = { roles: ['flag-deployer', 'flag-reader'], namespaces: ['payments'], environments: ['*'] };
    await activated(t, { stage: 'staging', patch: [{ op: 'add', path, value }] });
    const enable = (environment: string) =>
      propose(t, [{ action: 'enable', flag }], { environment }, 'casey');
    expect((await enable('staging')).body).toMatchObject({ state: 'applied' });
    expect((await enable('production')).body).toMatchObject({ code: 'policy_denied' });
    const created = await propose(
      t,
      [creation('mine', { tier: 'informational' })],
      { environment: 'staging' },
      'casey',
    );
    expect(created.body).toMatchObject({ code: 'policy_denied' });
    const explained = await t.call('casey', 'POST', '/v1/policy/explain', {
      what_if: { content: proposal([{ action: 'disable', flag }], { environment: 'staging' }) },
    });
    expect(explained.body).toMatchObject({ effect: 'allow' });
  });

  it('leaves definitions, freezes and policies to the last stage', async () => {
    const { policy_hash } = await tried('Staging tries this.');
    const flag = await freeFlag(t, 'checkout');
    const changes = [
      { action: 'update', flag, set: { owner: 'team-new' } },
      { action: 'enable', flag },
    ];
    const { body } = await propose(t, changes, { environment: 'staging' });
    expect(body.standing.policy_hash).not.toBe(policy_hash);
    const order = { scope: 'environment', environment: 'staging', incident: 'INC-1', reason: 'a test' };
    expect((await t.call('riley', 'POST', '/v1/freezes', order)).status).toBe(201);
    const records = (await t.call('avery', 'GET', '/v1/decisions?operation=freeze.engage')).body.items;
    expect(records[0].policy_hash).not.toBe(policy_hash);
  });

  it('gets another policy during a freeze of other environments, but not of its own', async () => {
    const row = [{ op: 'replace', path: '/config/limits/request_ttl_s', value: 1000 }];
    const freeze = (environment: string) =>
      t.call('riley', 'POST', '/v1/freezes', {
        ...{ scope: 'environment', environment, incident: 'INC-1', reason: 'a test' },
      });
    await freeze('production');
    expect((await proposeActivation(t, { patch: row, stage: 'staging' })).body.state).toBe('pending');
    expect((await proposeActivation(t, { patch: row })).body.code).toBe('policy_denied');
    await freeze('development');
    expect((await proposeActivation(t, { patch: row, stage: 'staging' })).body.code).toBe('policy_denied');
  });

  it('holds its break-glass changes to its own policy', async () => {
    const { policy_hash } = await tried('Staging tries this.');
    const flag = await freeFlag(t, 'checkout');
    await change(t, flag, 'staging');
    const opened = await t.call('riley+mfa', 'POST', '/v1/break-glass', {
      incident: 'INC-1',
      reason: 'a test',
    });
    expect(opened.status, JSON.stringify(opened.body)).toBe(201);
    const content = { environment: 'staging', changes: [{ action: 'disable', flag }] };
    const { status, body } = await t.call(
      'riley+mfa',
      'POST',
      `/v1/break-glass/${opened.body.id}/apply`,
      content,
    );
    expect([status, body.standing?.policy_hash], JSON.stringify(body)).toEqual([201, policy_hash]);
  });
});

it('access shows, in each environment, the bindings of the stage that decides there', async () => {
  const path = `/config/role_bindings/groups/${t.people.issuer.replaceAll('/', '~1')}/customer-success/-`;
  const value = { roles: ['flag-deployer', 'flag-reader'], namespaces: ['payments'], environments: ['*'] };
  await activated(t, { stage: 'staging', patch: [{ op: 'add', path, value }] });
  await t.call('casey', 'GET', '/v1/whoami');
  await t.broker.scheduler.tick();
  const { grants, bindings } = (await t.call('avery', 'GET', '/v1/access?capability=propose')).body;
  const ofCasey = grants.filter(({ principal }: { principal: { id: string } }) =>
    principal.id.endsWith('casey'),
  );
  expect(ofCasey.map(({ environment }: { environment: string }) => environment).toSorted()).toEqual([
    'development',
    'staging',
  ]);
  expect(ofCasey[0].binding).toMatchObject({ key: 'customer-success', index: 1, stage: 'staging' });
  const added = bindings.filter(
    (each: { key: string; index: number }) => each.key === 'customer-success' && each.index === 1,
  );
  expect(added).toMatchObject([{ stage: 'staging', environments: ['development', 'staging'], holders: 1 }]);
});
