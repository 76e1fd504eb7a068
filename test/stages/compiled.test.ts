import { expect, it } from 'vitest';
import { rebundle } from '../../fixtures/rebundle.ts';
import { type Activation, createPolicies, type StoredBundle } from '../../src/policy/active.ts';
import { readBundle } from '../../src/policy/bundle.ts';
import { readFixtureBundle } from '../support/bundles.ts';
import { INPUTS } from '../support/inputs.ts';

/*
 * The compiled policies of several stages, over a store in memory.
 */

const STAGES = [
  { name: 'canary', environments: ['canary'] },
  { name: 'staging', environments: ['staging'] },
  { name: 'production', environments: ['production'] },
];

async function bundle(turn: number): Promise<StoredBundle> {
  const archive = await rebundle(await readFixtureBundle('echo'), (data) => {
    const { config } = data as { config: object };
    const environments = Object.fromEntries(
      STAGES.flatMap((stage) => stage.environments).map((name) => [name, { kind: name }]),
    );
    return { turn, config: { ...config, environments, stages: STAGES } };
  });
  const { hash, archive_digest } = await readBundle(archive);
  return { policy_hash: hash, archive_digest, archive };
}

it('those that are active in any stage are never dropped, whatever is replayed', async () => {
  const bundles = await Promise.all(Array.from({ length: 14 }, (_, turn) => bundle(turn)));
  const stages = [null, 'canary', 'staging', 'gone'];
  const current = bundles.slice(0, 4).map((each, at): Activation => {
    const { policy_hash, archive_digest } = each;
    return { number: at + 1, stage: stages[at] ?? null, policy_hash, archive_digest };
  });
  const reads: string[] = [];
  const policies = createPolicies<null>(
    {
      newest: async () => current.length,
      activations: async () => current,
      bundle: async (_db, { policy_hash }) => {
        reads.push(policy_hash);
        return bundles.find((each) => each.policy_hash === policy_hash) ?? null;
      },
    },
    { inputs: INPUTS },
  );
  await policies.refresh(null);
  // That of a stage which no longer exists is not even read.
  expect(reads).toHaveLength(3);
  for (const { policy_hash } of bundles.slice(4)) await policies.byHash(null, policy_hash);
  const before = reads.length;
  for (const { policy_hash } of bundles.slice(0, 3)) await policies.byHash(null, policy_hash);
  expect(reads).toHaveLength(before);

  const policy = await policies.active(null);
  const decidedIn = (key: string) => {
    const environment = { key, kind: key };
    return policy.deciding({ operation: 'flag.read', environment, request: null }).hash;
  };
  expect(['production', 'canary', 'staging'].map(decidedIn)).toEqual(
    bundles.slice(0, 3).map(({ policy_hash }) => policy_hash),
  );
  const everywhere = { operation: 'flag.read', environment: null, request: null } as const;
  expect(policy.deciding(everywhere).hash).toBe(policy.hash);
  const freeze = {
    operation: 'freeze.engage',
    environment: { key: 'canary', kind: 'canary' },
    request: null,
  } as const;
  expect(policy.deciding(freeze).hash).toBe(policy.hash);
});
