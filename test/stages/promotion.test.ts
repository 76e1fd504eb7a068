import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { signIn, withConfig } from '../support/activation.ts';
import type { TestBroker } from '../support/broker.ts';
import { approve } from '../support/flags.ts';
import {
  activated,
  activations,
  change,
  data,
  firstBundle,
  freeFlag,
  proposeActivation,
  startStaged,
  upload,
  withWords,
} from '../support/stages.ts';

/*
 * Promotion: a module reaches production only after it was active in staging, and takes no data along.
 */

let t: TestBroker;

beforeEach(async () => {
  t = await startStaged();
  await signIn(t);
});

afterEach(() => t.close());

/** Uploads the first bundle with another module. @returns its policy hash */
const uploaded = async (text: string) => upload(t, await withWords(await firstBundle(t), text));
/** Activates such a module in staging. @returns the number of its activation */
async function tried(text: string): Promise<number> {
  await activated(t, { policy_hash: await uploaded(text), stage: 'staging' });
  return (await activations(t, '?stage=staging'))[0].number;
}
const ttl = (value: number) => [{ op: 'replace', path: '/config/limits/request_ttl_s', value }];

describe('a module that is new to production', () => {
  it('is refused without an activation of staging, naming the way', async () => {
    const policy_hash = await uploaded('Nobody has tried it.');
    expect(await proposeActivation(t, { policy_hash })).toMatchObject({
      status: 422,
      body: {
        code: 'invalid_change',
        errors: [
          { pointer: '#/policy_hash', detail: expect.stringContaining('activate it in "staging" first') },
        ],
      },
    });
  });

  it('is refused with another activation than one of staging', async () => {
    const policy_hash = await uploaded('Nobody has tried it.');
    for (const promotes of [1, 99]) {
      const { status, body } = await proposeActivation(t, { policy_hash, promotes });
      expect([status, body.errors]).toMatchObject([422, [{ pointer: '#/promotes' }]]);
    }
  });

  it('is refused with the activation of another module', async () => {
    const promotes = await tried('Staging tried this.');
    const policy_hash = await uploaded('And not this one.');
    const { status, body } = await proposeActivation(t, { policy_hash, promotes });
    expect([status, body.detail]).toEqual([422, expect.stringContaining('another module')]);
  });

  it('is promoted by a request that names the activation, its age and its decisions', async () => {
    const flag = await freeFlag(t, 'checkout');
    const promotes = await tried('Staging tried this.');
    t.clock.advance(3_600_000);
    await change(t, flag, 'staging', 'enable');
    await change(t, flag, 'staging', 'disable');
    await change(t, flag, 'production', 'enable');
    t.clock.advance(1000);
    const { status, body } = await proposeActivation(t, { promotes });
    expect([status, body.state]).toEqual([201, 'pending']);
    expect(body.object).toMatchObject({
      stage: 'production',
      promotes: { stage: 'staging', activation: promotes, age_s: 3601, decisions: 2 },
    });
    expect(body.summary).toContain(`promote activation ${promotes} of staging (2 decisions) in production`);

    // The facts stay as of the proposal, whatever staging does meanwhile.
    await change(t, flag, 'staging', 'enable');
    t.clock.advance(60_000);
    await approve(t, 'jordan', body);
    expect((await approve(t, 'sam', body)).body).toMatchObject({ state: 'applied', object: body.object });
    const both = await Promise.all(
      ['staging', 'production'].map((environment) => change(t, flag, environment, 'disable')),
    );
    expect(both.map(({ standing }) => standing.reasons[0].detail)).toEqual(
      both.map(() => expect.stringContaining('Staging tried this.')),
    );
  });

  it('takes no data of staging along, unless the bundle is proposed as a whole', async () => {
    await tried('Staging tried this.');
    await activated(t, { patch: ttl(1234), stage: 'staging' });
    await activated(t, { patch: ttl(4321) });
    const [{ number: promotes }] = await activations(t, '?stage=staging');
    await activated(t, { promotes, patch: [{ op: 'add', path: '/config/limits/of_mine', value: 1 }] });
    expect((await data(t)).limits).toMatchObject({ request_ttl_s: 4321, of_mine: 1 });
    expect((await data(t, 'staging')).limits).toMatchObject({ request_ttl_s: 1234 });
  });

  it('as a whole bundle, needs the promotion of its module', async () => {
    const promotes = await tried('Staging tried this.');
    const archive = await withConfig(
      await withWords(await firstBundle(t), 'Staging tried this.'),
      ({ limits = {} }) => {
        limits.request_ttl_s = 777;
      },
    );
    const policy_hash = await upload(t, archive);
    expect((await proposeActivation(t, { policy_hash })).status).toBe(422);
    await activated(t, { policy_hash, promotes });
    expect((await data(t)).limits.request_ttl_s).toBe(777);
  });

  it('conflicts if production went over to another module meanwhile', async () => {
    const first = await tried('Staging tried this.');
    const late = (await proposeActivation(t, { promotes: first })).body;
    const second = await tried('And then that one.');
    await activated(t, { promotes: second });
    await approve(t, 'jordan', late);
    expect((await approve(t, 'sam', late)).body).toMatchObject({ state: 'conflicted' });
  });
});

describe('what is not new to production', () => {
  it('needs no promotion: a row of data', async () => {
    await activated(t, { patch: ttl(1000) });
    expect((await data(t)).limits.request_ttl_s).toBe(1000);
    expect(await activations(t, '?stage=staging')).toEqual([]);
  });

  it('needs no promotion: back to a policy that was active there', async () => {
    const [{ policy_hash }] = await activations(t);
    await activated(t, { promotes: await tried('Staging tried this.') });
    await activated(t, { policy_hash });
    expect((await activations(t, '?stage=production'))[0]).toMatchObject({ policy_hash });
  });

  it('does not conflict with the same row of the other stage', async () => {
    await tried('Staging tried this.');
    const [one, other] = [
      (await proposeActivation(t, { patch: ttl(1000) })).body,
      (await proposeActivation(t, { patch: ttl(2000), stage: 'staging' })).body,
    ];
    for (const request of [one, other]) {
      await approve(t, 'jordan', request);
      expect((await approve(t, 'sam', request)).body).toMatchObject({ state: 'applied' });
    }
    expect((await data(t)).limits.request_ttl_s).toBe(1000);
    expect((await data(t, 'staging')).limits.request_ttl_s).toBe(2000);
  });
});

describe('a policy that asks for a test', () => {
  it('denies a module that was tried too shortly, or decided too little, and says how much is missing', async () => {
    await activated(t, {
      patch: [
        {
          op: 'add',
          path: '/config/request_kinds/policy.activate/promotion',
          value: { min_age_s: 3600, min_decisions: 1 },
        },
      ],
    });
    const flag = await freeFlag(t, 'checkout');
    const promotes = await tried('Staging tried this.');
    await change(t, flag, 'staging');
    const early = (await proposeActivation(t, { promotes })).body;
    expect([early.code, early.reasons]).toEqual([
      'policy_denied',
      [{ code: 'promotion_too_early', detail: expect.stringContaining('for 0 seconds and 1 decisions') }],
    ]);
    t.clock.advance(3_600_000);
    expect((await proposeActivation(t, { promotes })).body.state).toBe('pending');
  });
});
