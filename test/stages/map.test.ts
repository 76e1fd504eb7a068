import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { signIn, withConfig } from '../support/activation.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { approve } from '../support/flags.ts';
import {
  activated,
  activations,
  change,
  data,
  firstBundle,
  freeFlag,
  proposeActivation,
  STAGES,
  upload,
  withWords,
} from '../support/stages.ts';

/*
 * The map of stages, which is data of the last stage, and what else belongs to it.
 */

let t: TestBroker;

beforeEach(async () => {
  t = await startTestBroker();
  await signIn(t);
});

afterEach(() => t.close());

const mapped = (value: unknown = STAGES) =>
  activated(t, { patch: [{ op: 'add', path: '/config/stages', value }] });
const unmapped = () => activated(t, { patch: [{ op: 'remove', path: '/config/stages' }] });
async function tried(text: string, stage = 'staging') {
  const policy_hash = await upload(t, await withWords(await firstBundle(t), text));
  return activated(t, { policy_hash, stage });
}
async function saidIn(flag: string, environment: string, action: string): Promise<string> {
  return (await change(t, flag, environment, action)).standing.reasons[0].detail;
}

describe('the map of stages', () => {
  it('does not exist by default, and nothing names a stage', async () => {
    const flag = await freeFlag(t, 'checkout');
    const { decision_id } = await change(t, flag, 'staging');
    expect((await t.call('avery', 'GET', `/v1/decisions/${decision_id}`)).body.record.stage).toBeNull();
    const request = await activated(t, {
      patch: [{ op: 'replace', path: '/config/limits/request_ttl_s', value: 1000 }],
    });
    expect(request.object).not.toHaveProperty('stage');
    expect((await activations(t)).map(({ stage }: { stage: null }) => stage)).toEqual([null, null]);
    const [{ policy_hash }] = await activations(t);
    expect(await proposeActivation(t, { policy_hash, stage: 'staging' })).toMatchObject({
      status: 404,
      body: {
        errors: [{ pointer: '#/stage' }],
        detail: expect.stringContaining('has no stages: leave it out'),
      },
    });
    expect((await proposeActivation(t, { promotes: 1 })).body.errors).toMatchObject([
      { pointer: '#/promotes' },
    ]);
  });

  it('is introduced by a request, and changes no decision by itself', async () => {
    const flag = await freeFlag(t, 'checkout');
    await mapped();
    const [{ policy_hash }] = await activations(t);
    for (const environment of ['staging', 'production']) {
      expect((await change(t, flag, environment)).standing.policy_hash).toBe(policy_hash);
    }
    expect((await activations(t))[0].stage).toBe('production');
  });

  it.each([
    ['an environment in no stage', [{ name: 'one', environments: ['staging', 'production'] }]],
    [
      'an environment in two stages',
      [
        { name: 'one', environments: ['staging', 'development'] },
        { name: 'two', environments: ['staging', 'production'] },
      ],
    ],
    [
      'an unknown environment',
      [{ name: 'one', environments: ['staging', 'development', 'production', 'qa'] }],
    ],
    ['an empty stage', [...STAGES, { name: 'empty', environments: [] }]],
    [
      'one name twice',
      [
        { name: 'one', environments: ['staging', 'development'] },
        { name: 'one', environments: ['production'] },
      ],
    ],
    ['no stage', []],
    ['a misspelled member', [{ name: 'one', environment: ['staging', 'development', 'production'] }]],
  ])('is refused with %s', async (_what, value) => {
    const { status, body } = await proposeActivation(t, {
      patch: [{ op: 'add', path: '/config/stages', value }],
    });
    expect([status, body.errors[0].detail]).toEqual([422, expect.stringContaining('stages')]);
  });

  it('may lose a stage: the last one then decides, and what was active there does not come back', async () => {
    const flag = await freeFlag(t, 'checkout');
    await mapped();
    await tried('Staging tries this.');
    expect(await saidIn(flag, 'staging', 'enable')).toContain('Staging tries');
    await unmapped();
    expect(await saidIn(flag, 'staging', 'disable')).not.toContain('Staging tries');
    await mapped();
    expect(await saidIn(flag, 'staging', 'enable')).not.toContain('Staging tries');
    expect((await activations(t))[0]).toMatchObject({ stage: 'staging' });
  });
});

it('is told to nobody who may not propose', async () => {
  await mapped();
  for (const fields of [{ promotes: 1 }, { patch: [{ op: 'remove', path: '/config/stages' }] }]) {
    const { status, body } = await t.call('dana', 'POST', '/v1/requests', {
      ...{ kind: 'policy.activate', reason: 'a test', stage: 'nowhere', ...fields },
    });
    expect([status, JSON.stringify(body)]).toEqual([403, expect.not.stringContaining('staging')]);
  }
});

describe('a change of the map while staging has a policy of its own', () => {
  const replaced = (value: unknown) =>
    proposeActivation(t, { patch: [{ op: 'replace', path: '/config/stages', value }] });
  const swapped = [
    { name: 'staging', environments: ['staging', 'production'] },
    { name: 'production', environments: ['development'] },
  ];

  it('puts no environment under another policy, which no promotion and no report has seen', async () => {
    await mapped();
    await tried('Staging tries this.');
    const { status, body } = await replaced(swapped);
    expect([status, body.errors]).toMatchObject([
      422,
      [{ pointer: '#/patch', detail: expect.stringContaining('in the stage "staging"') }],
    ]);
    expect(body.detail).toContain('"production" would be decided by another policy');
  });

  it('conflicts if staging gets that policy after the approval', async () => {
    await mapped();
    const { body } = await replaced(swapped);
    expect(body.object).toMatchObject({ changes_nothing: true });
    await approve(t, 'jordan', body);
    await tried('Staging tries this.');
    expect((await approve(t, 'sam', body)).body.state).toBe('conflicted');
  });

  it('moves an environment if the policy is the same in both stages', async () => {
    const flag = await freeFlag(t, 'checkout');
    await mapped();
    await tried('Staging tries this.');
    const [{ number }] = await activations(t, '?stage=staging');
    await activated(t, { promotes: number });
    expect((await replaced(swapped)).status).toBe(201);
    expect(await saidIn(flag, 'production', 'enable')).toContain('Staging tries');
  });

  it.each([
    ['goes back to the last stage', { op: 'remove', path: '/config/stages' }],
    [
      'gets another kind in the folders that belong to the last stage',
      { op: 'replace', path: '/config/environments/development/kind', value: 'staging' },
    ],
  ])('does not say that it changes nothing if an environment %s', async (_what, operation) => {
    await mapped();
    await tried('Staging tries this.');
    const { status, body } = await proposeActivation(t, { patch: [operation] });
    expect(status, JSON.stringify(body)).toBe(201);
    expect(body.object).not.toHaveProperty('changes_nothing');
    expect(body.summary).not.toContain('no recorded decision');
  });
});

describe('what belongs to the last stage', () => {
  beforeEach(async () => {
    await mapped();
    await tried('Staging tries this.');
  });

  it('follows it in the same transaction, with the same request', async () => {
    const request = await activated(t, {
      patch: [{ op: 'add', path: '/config/persons/github:77', value: 'emp-1001' }],
    });
    const [staging, production] = await activations(t);
    expect([staging, production]).toMatchObject([
      { stage: 'staging', request_id: request.id },
      { stage: 'production', request_id: request.id },
    ]);
    expect(staging.module).not.toBe(production.module);
    expect((await data(t, 'staging')).persons).toMatchObject({ 'github:77': 'emp-1001' });
  });

  it('is nothing that a request for another stage can change', async () => {
    const { status, body } = await proposeActivation(t, {
      stage: 'staging',
      patch: [{ op: 'add', path: '/config/persons/github:77', value: 'emp-1001' }],
    });
    expect([status, body.errors]).toMatchObject([422, [{ pointer: '#/patch/0/path' }]]);
  });

  it('is put into a whole bundle for another stage', async () => {
    const archive = await withConfig(await firstBundle(t), (config) => {
      Object.assign(config.persons ?? {}, { 'github:66': 'emp-1001' });
      config.stages = [{ name: 'mine', environments: Object.keys(config.environments ?? {}) }] as never;
    });
    await activated(t, { policy_hash: await upload(t, archive), stage: 'staging' });
    const { persons, stages } = await data(t, 'staging');
    expect(persons).not.toHaveProperty('github:66');
    expect(stages).toEqual(STAGES);
  });

  it('cannot become what the policy of another stage does not allow', async () => {
    const path = '/config/role_bindings/trust_rules/payments-deploy';
    const { status, body } = await proposeActivation(t, {
      patch: [
        { op: 'remove', path },
        { op: 'remove', path: '/config/trust_rules/payments-deploy' },
      ],
    });
    expect([status, body.detail]).toEqual([422, expect.stringContaining('stage "staging"')]);
  });
});
