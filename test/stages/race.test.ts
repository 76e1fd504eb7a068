import { afterEach, beforeEach, expect, it } from 'vitest';
import { signIn } from '../support/activation.ts';
import type { TestBroker } from '../support/broker.ts';
import { approve } from '../support/flags.ts';
import {
  activations,
  change,
  firstBundle,
  freeFlag,
  proposeActivation,
  startStaged,
  upload,
  withWords,
} from '../support/stages.ts';

/*
 * Activations of a stage at the same moment as changes in all of them.
 */

let t: TestBroker;

beforeEach(async () => {
  t = await startStaged();
  await signIn(t);
});

afterEach(() => t.close());

/** Everything that was decided in an environment since a place of the log, in the order of the log. */
async function decisionsIn(environment: string) {
  const path = `/v1/decisions?operation=request.propose&environment=${environment}&limit=100`;
  const { items } = (await t.call('avery', 'GET', path)).body;
  return items.toReversed() as { place: number; policy_hash: string; record: { stage: string } }[];
}

it('each change is decided by what was active in its stage at its place in the log', async () => {
  const flags = await Promise.all([1, 2, 3, 4, 5, 6].map((n) => freeFlag(t, `flag-${n}`)));
  const [{ policy_hash: former }] = await activations(t);
  const policy_hash = await upload(t, await withWords(await firstBundle(t), 'Staging tries this.'));
  const request = (await proposeActivation(t, { policy_hash, stage: 'staging' })).body;
  await approve(t, 'jordan', request);
  const changes = (wanted: readonly string[]) =>
    wanted.flatMap((flag) => ['staging', 'production'].map((environment) => change(t, flag, environment)));
  const done = await Promise.all([
    ...changes(flags.slice(0, 3)),
    approve(t, 'sam', request).then(({ body }) => body),
    ...changes(flags.slice(3)),
  ]);
  expect(done.map(({ state }) => state)).toEqual(done.map(() => 'applied'));

  const [{ decision_id }] = await activations(t, '?stage=staging');
  const { place: activated } = (await t.call('avery', 'GET', `/v1/decisions/${decision_id}`)).body;
  const [inStaging, inProduction] = [await decisionsIn('staging'), await decisionsIn('production')];
  const ofStages = inStaging.filter(({ record }) => record.stage === 'staging');
  expect(ofStages).toHaveLength(flags.length);
  for (const decided of ofStages) {
    expect(decided.policy_hash).toBe(decided.place < activated ? former : policy_hash);
  }
  expect(new Set(inProduction.map((decided) => decided.policy_hash))).toEqual(new Set([former]));
});

it('no token carries the grant of one policy and the hash of another', async () => {
  const flag = await freeFlag(t, 'checkout');
  const policy_hash = await upload(t, await withWords(await firstBundle(t), 'Staging tries this.'));
  const staged = (await proposeActivation(t, { policy_hash, stage: 'staging' })).body;
  const persons = [{ op: 'add', path: '/config/persons/github:77', value: 'emp-1001' }];
  const owned = (await proposeActivation(t, { patch: persons })).body;
  for (const request of [staged, owned]) await approve(t, 'jordan', request);
  const [, , ...tokens] = await Promise.all([
    approve(t, 'sam', staged),
    approve(t, 'sam', owned),
    ...[1, 2, 3, 4].map(() => t.workloadToken()),
    change(t, flag, 'staging'),
  ]);
  const ofLast = (await activations(t, '?stage=production')).map(
    (each: { policy_hash: string }) => each.policy_hash,
  );
  for (const token of tokens.filter((each) => typeof each === 'string')) {
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
    expect(ofLast).toContain(claims.policy_hash);
  }
  // Whichever came first, the bundle of staging has the person.
  const { body } = await t.call('morgan', 'GET', '/v1/policy/data?stage=staging');
  expect(body.data.config.persons).toMatchObject({ 'github:77': 'emp-1001' });
});
