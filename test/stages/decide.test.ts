import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { signIn } from '../support/activation.ts';
import type { TestBroker } from '../support/broker.ts';
import {
  activated,
  change,
  firstBundle,
  freeFlag,
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
});
