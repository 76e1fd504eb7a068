import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { authorize } from '../../src/decide/authorize.ts';
import type { ControlDeps, WriteContext } from '../../src/decide/control.ts';
import { write } from '../../src/decide/write.ts';
import { BrokerError } from '../../src/errors.ts';
import type { Caller } from '../../src/identity/credential.ts';
import { activate } from '../../src/policy/activate.ts';
import { type Bundle, readBundle } from '../../src/policy/bundle.ts';
import type { Policy } from '../../src/policy/policies.ts';
import { storedPolicies } from '../../src/policy/stored-policies.ts';
import { schedulerPrincipal } from '../../src/principal.ts';
import { revoke } from '../../src/revocation/revoke.ts';
import { environmentVersion } from '../../src/store/flags.ts';
import { findActivation, insertActivation, storeBundle } from '../../src/store/policies.ts';
import { listRecords } from '../../src/store/record-list.ts';
import { trustRulesOf } from '../../src/trust/policy-rules.ts';
import { withConfig } from '../support/activation.ts';
import { INPUTS } from '../support/inputs.ts';
import { openControl, personOf } from '../support/local-control.ts';
import { countsOf } from '../support/sqlite/rows.ts';

const CALL = { principal: schedulerPrincipal, credential: null, http_request_id: null };

let folder: string;
let control: ControlDeps;
let first: Bundle;
let second: Bundle;
/** What was told of other policies. */
let changes: Policy[];
/** How often something decided was told of. */
let decided: number;

let shipped: Buffer;

beforeAll(async () => {
  shipped = await readFile(new URL('../../policies/examples/demo/bundle.tar.gz', import.meta.url));
  // Another archive than the one that the control plane is opened with, and the same policy.
  first = await readBundle(shipped);
  second = await readBundle(
    await withConfig(shipped, (config) => {
      Object.assign(config.environments ?? {}, { canary: { kind: 'staging' } });
      Object.assign(config.persons ?? {}, { 'emp-1001': 'emp-2001' });
    }),
  );
});

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-activation-'));
  changes = [];
  decided = 0;
  control = await openControl({
    file: join(folder, 'test.db'),
    archive: shipped,
    clock: () => 1_795_262_400_000,
    policies: { assertUsable: trustRulesOf, policyChanged: (policy) => changes.push(policy) },
  });
  control.events.decided = () => {
    decided += 1;
  };
});

afterEach(async () => {
  await control.store.close();
  await rm(folder, { recursive: true, force: true });
});

/** Stores a bundle and activates it, as a request of that kind will. */
async function activateIn(writing: WriteContext, bundle: Bundle, hash = bundle.hash): Promise<string> {
  const { archive, archive_digest, revision } = bundle;
  const key = { policy_hash: hash, archive_digest };
  await storeBundle(writing.tx, { ...key, archive, revision, stored_ms: writing.now_ms });
  const record = { decision_id: 'a-decision', request_id: 'a-request', stage: null };
  return (await activate(writing, { ...key, ...record })).hash;
}

/** Compiles a bundle, as its proposal does. */
const prepare = ({ hash: policy_hash, archive_digest, archive }: Bundle) =>
  control.policies.prepare({ policy_hash, archive_digest, archive });

const activation = (bundle: Bundle) => write(control, CALL, (writing) => activateIn(writing, bundle));

/** A write that is decided and recorded. @returns the hash that decided it */
async function decideIn(writing: WriteContext): Promise<string> {
  await authorize(writing, { operation: 'session.read' });
  return writing.policy.hash;
}

const decision = () => write(control, CALL, decideIn);

const recordedHashes = async () =>
  (
    await listRecords(control.store.read, {
      filter: { operation: 'session.read' },
      beforePlace: null,
      limit: 50,
    })
  ).rows
    .map(({ details }) => (JSON.parse(details) as { policy_hash: string }).policy_hash)
    .toReversed();

/** Everything that an activation could have moved. */
async function everything() {
  const { read } = control.store;
  return {
    latest: control.policies.latest().hash,
    active: (await control.policies.active(read)).hash,
    met: await decision(),
    number: (await findActivation(read))?.number,
    ...countsOf(join(folder, 'test.db'), ['activations', 'bundles', 'environments']),
    changes: changes.length,
  };
}

describe('an activation', () => {
  it('decides what comes after it in its batch, and nothing that came before', async () => {
    await prepare(second);
    const answers = await Promise.all([decision(), activation(second), decision(), decision()]);
    expect(answers).toEqual([first.hash, second.hash, second.hash, second.hash]);
    expect(await recordedHashes()).toEqual([first.hash, second.hash, second.hash]);
    expect(await findActivation(control.store.read)).toMatchObject({
      number: 2,
      policy_hash: second.hash,
      archive_digest: second.archive_digest,
      decision_id: 'a-decision',
      request_id: 'a-request',
    });
  });

  it('of what is not compiled here alone waits and runs twice, and each write of its batch is recorded, told of and answered once', async () => {
    const runs: string[] = [];
    const noted = (name: string, work: (writing: WriteContext) => Promise<string>) =>
      write(control, CALL, (writing) => {
        runs.push(name);
        return work(writing);
      });
    const batch = (bundle: Bundle) =>
      Promise.all([
        noted('before', decideIn),
        noted('activate', (writing) => activateIn(writing, bundle)),
        noted('after', decideIn),
      ]);
    await batch(second);
    expect(runs).toEqual(['before', 'activate', 'after', 'activate']);
    expect(await recordedHashes()).toEqual([first.hash, first.hash]);
    expect(decided).toBe(2);
    runs.length = 0;
    await batch(first);
    expect(runs).toEqual(['before', 'activate', 'after']);
    expect(changes.map(({ hash }) => hash)).toEqual([second.hash, first.hash]);
  });

  it('several times in one batch decides what lies between', async () => {
    const third = await readBundle(
      await withConfig(shipped, (config) =>
        Object.assign(config.environments ?? {}, { x: { kind: 'staging' } }),
      ),
    );
    await Promise.all([prepare(second), prepare(third)]);
    const answers = await Promise.all([
      activation(second),
      decision(),
      activation(third),
      decision(),
      activation(first),
      decision(),
    ]);
    const [a, b, c] = [first.hash, second.hash, third.hash];
    expect(answers).toEqual([b, b, c, c, a, a]);
    expect(control.policies.latest().hash).toBe(a);
    expect((await findActivation(control.store.read))?.number).toBe(4);
  });

  it('is the latest policy after its commit, and before its answer', async () => {
    const { policies, store } = control;
    const seen: Record<string, string> = {};
    await prepare(second);
    const answered = activation(second).then(() => {
      seen.answered = policies.latest().hash;
    });
    await write(control, CALL, async (writing) => {
      seen.met = writing.policy.hash;
      seen.latest = policies.latest().hash;
      seen.committed = (await policies.active(store.read)).hash;
      seen.afterThat = policies.latest().hash;
      // Who looks for activations of others meanwhile finds none.
      await policies.refresh(store.read);
      seen.refreshed = policies.latest().hash;
      writing.afterCommit(() => {
        seen.durable = policies.latest().hash;
      });
      expect(changes).toEqual([]);
    });
    await answered;
    const before = {
      latest: first.hash,
      committed: first.hash,
      afterThat: first.hash,
      refreshed: first.hash,
    };
    expect(seen).toEqual({ met: second.hash, ...before, durable: second.hash, answered: second.hash });
    expect(changes.map(({ hash }) => hash)).toEqual([second.hash]);
  });

  it('that is undone has changed nothing anywhere', async () => {
    await decision();
    const before = await everything();
    const [undone, after] = await Promise.allSettled([
      write(control, CALL, async (writing) => {
        expect(await activateIn(writing, second)).toBe(second.hash);
        throw new BrokerError('state_conflict', 'undone');
      }),
      decision(),
    ]);
    expect(undone).toMatchObject({ status: 'rejected', reason: { code: 'state_conflict' } });
    expect(after).toEqual({ status: 'fulfilled', value: first.hash });
    expect(await everything()).toEqual(before);
    await activation(second);
    expect((await findActivation(control.store.read))?.number).toBe(2);
  });

  it('of a bundle that trusts too much fails alone, and nobody else in the batch', async () => {
    const careless = await readBundle(
      await withConfig(shipped, (config) => {
        const rule = config.trust_rules?.['payments-deploy'] as { claims: object };
        rule.claims = {};
      }),
    );
    const before = await everything();
    const outcomes = await Promise.allSettled([decision(), activation(careless), decision()]);
    expect(outcomes).toMatchObject([
      { value: first.hash },
      { status: 'rejected', reason: { message: expect.stringContaining('trust_rules is not valid') } },
      { value: first.hash },
    ]);
    expect(await everything()).toEqual(before);
  });

  it('of a bundle that is not what it is stored as fails alone too', async () => {
    const before = await everything();
    const outcomes = await Promise.allSettled([
      decision(),
      write(control, CALL, (writing) => activateIn(writing, second, `sha256:${'0'.repeat(64)}`)),
      decision(),
    ]);
    expect(outcomes).toMatchObject([
      { value: first.hash },
      { status: 'rejected', reason: { message: expect.stringContaining('is corrupt') } },
      { value: first.hash },
    ]);
    expect(await everything()).toEqual(before);
  });

  it('of a bundle that is not stored is refused by the store', async () => {
    const { hash: policy_hash, archive_digest } = second;
    const record = { decision_id: null, request_id: null, stage: null };
    await expect(
      write(control, CALL, (writing) => activate(writing, { policy_hash, archive_digest, ...record })),
    ).rejects.toMatchObject({ code: 'not_recorded' });
    expect(await decision()).toBe(first.hash);
  });

  it('for one stage is none for all of them', async () => {
    const { hash: policy_hash, archive_digest, archive, revision } = second;
    await write(control, CALL, async ({ tx, now_ms }) => {
      const key = { policy_hash, archive_digest };
      await storeBundle(tx, { ...key, archive, revision, stored_ms: now_ms });
      const record = { decision_id: 'a-decision', request_id: null, stage: 'early' };
      await insertActivation(tx, { ...key, ...record, activated_ms: now_ms });
    });
    expect(await decision()).toBe(first.hash);
    expect(await activation(second)).toBe(second.hash);
    expect((await findActivation(control.store.read))?.number).toBe(3);
  });

  it('gives an environment that the policy has again a new version, and one that stays none', async () => {
    const versions = async () =>
      Promise.all(['canary', 'production'].map((key) => environmentVersion(control.store.read, key)));
    await activation(second);
    expect(await versions()).toEqual([1, 0]);
    await activation(second);
    expect(await versions()).toEqual([1, 0]);
    await activation(first);
    await activation(second);
    expect(await versions()).toEqual([2, 0]);
  });
});

describe('whoever is revoked', () => {
  it('stays so under a policy that calls them by another name, and is accepted once that is lifted', async () => {
    const credential = {
      issuer: 'http://127.0.0.1:9401',
      token_id: 'jti:1',
      kid: null,
      issued_ms: control.clock(),
      expires_ms: control.clock() + 60_000,
      session: null,
      proof: null,
    };
    const caller = { principal: personOf('dana', [], 'emp-1001'), credential };
    const { revocations, store } = control;
    const hit = (asked: Caller) => revocations.latest().hit(store.read, asked);
    await write(control, CALL, (writing) =>
      revoke(writing, {
        kind: 'subject',
        value: 'emp-1001',
        issued_before_ms: null,
        incident: 'I-1',
        reason: 'x',
        cause: 'incident',
        expires_ms: null,
      }),
    );
    expect(await hit(caller)).not.toBeNull();
    await activation(second);
    expect(await hit(caller)).not.toBeNull();
    const renamed = { ...caller, principal: { ...caller.principal, person: 'emp-2001' } };
    expect(await hit(renamed)).not.toBeNull();
    await activation(first);
    // Under the first policy these are two humans.
    expect(await hit(renamed)).toBeNull();
    expect(await hit(caller)).not.toBeNull();
  });
});

describe('another broker on the same store', () => {
  it('follows an activation at its next look', async () => {
    const told: string[] = [];
    const others = storedPolicies({ inputs: INPUTS, policyChanged: ({ hash }) => told.push(hash) });
    await others.refresh(control.store.read);
    await activation(second);
    expect(others.latest().hash).toBe(first.hash);
    await others.refresh(control.store.read);
    await others.refresh(control.store.read);
    expect(others.latest().hash).toBe(second.hash);
    expect(told).toEqual([second.hash]);
  });

  it('is decided by it in its next write, before it looked, and knows it from the commit of that on', async () => {
    const others = storedPolicies({ inputs: INPUTS });
    await others.refresh(control.store.read);
    const other = { ...control, policies: others };
    await activation(second);
    const undone = write(other, CALL, async (writing) => {
      expect(writing.policy.hash).toBe(second.hash);
      throw new BrokerError('state_conflict', 'undone');
    });
    await expect(undone).rejects.toMatchObject({ code: 'state_conflict' });
    expect(others.latest().hash).toBe(first.hash);
    expect(await write(other, CALL, decideIn)).toBe(second.hash);
    expect(others.latest().hash).toBe(second.hash);
  });
});
