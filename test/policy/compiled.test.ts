import { beforeAll, describe, expect, it } from 'vitest';
import { rebundle } from '../../fixtures/rebundle.ts';
import { type Activation, createPolicies, type StoredBundle } from '../../src/policy/active.ts';
import { readBundle } from '../../src/policy/bundle.ts';
import { readFixtureBundle } from '../support/bundles.ts';
import { INPUTS } from '../support/inputs.ts';

/** A state of some store: which activation counts in it, and how long reading a bundle takes. */
interface State {
  active: number;
  wait?: Promise<unknown>;
}

let bundles: StoredBundle[];

const place = (number: number): StoredBundle => bundles[number] ?? expect.unreachable();

async function stored(archive: Buffer): Promise<StoredBundle> {
  const { hash, archive_digest } = await readBundle(archive);
  return { policy_hash: hash, archive_digest, archive };
}

beforeAll(async () => {
  const echo = await readFixtureBundle('echo');
  bundles = await Promise.all(
    Array.from({ length: 14 }, async (_, turn) =>
      stored(await rebundle(echo, (data) => ({ ...(data as object), turn }))),
    ),
  );
});

/** Policies over such a store, and which bundles were read from it. */
function open(archives: readonly StoredBundle[] = bundles) {
  const reads: string[] = [];
  const policies = createPolicies<State>(
    {
      newest: async ({ active }) => active + 1,
      activations: async ({ active }): Promise<Activation[]> => [
        { number: active + 1, stage: null, ...place(active) },
      ],
      bundle: async ({ wait }, { policy_hash }) => {
        reads.push(policy_hash);
        await wait;
        return archives.find((bundle) => bundle.policy_hash === policy_hash) ?? null;
      },
    },
    { inputs: INPUTS },
  );
  return { policies, reads };
}

const FIRST = { active: 0 };

describe('compiled policies', () => {
  it('are a bounded number, and the active one is always among them', async () => {
    const { policies, reads } = open();
    await policies.refresh(FIRST);
    const others = bundles.slice(1);
    for (const { policy_hash } of others) await policies.byHash(FIRST, policy_hash);
    expect(reads).toHaveLength(bundles.length);
    // The active one was used least recently of all.
    await policies.active(FIRST);
    expect(await policies.activeIn(FIRST, () => undefined)).toBe(policies.latest());
    expect(reads).toHaveLength(bundles.length);
    const last = others.at(-1)?.policy_hash ?? '';
    await policies.byHash(FIRST, last);
    expect(reads).toHaveLength(bundles.length);
    await policies.byHash(FIRST, place(1).policy_hash);
    expect(reads).toHaveLength(bundles.length + 1);
  });

  it('keep what a write has met, though its commit is still to come', async () => {
    const { policies, reads } = open();
    await policies.refresh(FIRST);
    const second = { active: 1 };
    await expect(policies.activeIn(second, () => undefined)).rejects.toMatchObject({ name: 'RunAgain' });
    await policies.active(second);
    for (const { policy_hash } of bundles.slice(2)) await policies.byHash(FIRST, policy_hash);
    const before = reads.length;
    expect((await policies.activeIn(second, () => undefined)).hash).toBe(place(1).policy_hash);
    expect(policies.latest().hash).toBe(place(0).policy_hash);
    expect(await policies.byHash(FIRST, place(0).policy_hash)).toBe(policies.latest());
    expect(reads).toHaveLength(before);
  });

  it('are compiled once, however many ask at the same time', async () => {
    const { policies } = open();
    const asked = Array.from({ length: 5 }, () => policies.byHash(FIRST, place(3).policy_hash));
    expect(new Set(await Promise.all(asked)).size).toBe(1);
  });

  it('decide a former input again, whether their bundle was ever active or not', async () => {
    const { policies } = open();
    const policy = await policies.byHash(FIRST, place(5).policy_hash);
    expect(policy?.replay('{}', { input: 1, result: 1, guardrails: 1 }).effect).toBe('deny');
    expect(await policies.byHash(FIRST, `sha256:${'0'.repeat(64)}`)).toBeNull();
  });

  it('are refused when the stored archive is another policy, or other bytes', async () => {
    const another = { ...place(1), archive: place(2).archive };
    await expect(open([another]).policies.byHash(FIRST, another.policy_hash)).rejects.toThrow(
      /is corrupt: it has the hash/,
    );
    const bytes = { ...place(1), archive_digest: place(2).archive_digest };
    await expect(open([bytes]).policies.byHash(FIRST, bytes.policy_hash)).rejects.toThrow(
      /is corrupt: it has the hash/,
    );
  });
});

describe('the latest policy', () => {
  it('is never one that was read before a later one', async () => {
    const { policies } = open();
    await policies.refresh(FIRST);
    let finish: (value?: unknown) => void = () => undefined;
    const slow = policies.refresh({
      active: 1,
      wait: new Promise((resolve) => {
        finish = resolve;
      }),
    });
    await policies.refresh({ active: 2 });
    finish();
    await slow;
    expect(policies.latest().hash).toBe(place(2).policy_hash);
  });

  it('stays when the next one cannot be used here', async () => {
    const { policies } = open([place(0)]);
    await policies.refresh(FIRST);
    await expect(policies.refresh({ active: 1 })).rejects.toThrow(/is not stored/);
    expect(policies.latest().hash).toBe(place(0).policy_hash);
  });

  it('is none before the first look', () => {
    expect(() => open().policies.latest()).toThrow(/not been loaded yet/);
  });
});
