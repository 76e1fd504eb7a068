import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { createUsage, type Usage } from './access/usage.ts';
import type { Clock } from './clock.ts';
import type { Config } from './config.ts';
import { snapshotLoader } from './data/load-snapshot.ts';
import { createSnapshots, type Snapshots } from './data/snapshot.ts';
import { type ControlDeps, environmentsOf, type RequestKinds } from './decide/control.ts';
import { watchFreezes } from './emergency/watch.ts';
import { type Cursors, createCursors } from './http/cursor.ts';
import { createMetrics, type Metrics } from './http/metrics.ts';
import { acrValuesFor } from './issuers/issuers.ts';
import { createKeySets, type KeySets } from './issuers/key-sets.ts';
import { cursorSecret, type MasterKeyOutcome, openSecrets } from './keys/open-secrets.ts';
import { rotateDueKey, storedSigningKeys } from './keys/rotation.ts';
import { createSigningKeys, type SigningKeys } from './keys/signing-keys.ts';
import type { Logger } from './logger.ts';
import { type Bundle, BundleError, readBundle } from './policy/bundle.ts';
import { activateFirst, type BundleOutcome } from './policy/first-start.ts';
import { inputVersions } from './policy/input-versions.ts';
import { createPolicy, type Policy } from './policy/policies.ts';
import { storedPolicies } from './policy/stored-policies.ts';
import { storedRevocations } from './revocation/stored-revocations.ts';
import { createScheduler, type Scheduler } from './schedule/scheduler.ts';
import type { Store } from './store/database.ts';
import { listActiveFreezes } from './store/emergency.ts';
import { findActivation } from './store/policies.ts';
import { countOpenRequests } from './store/requests.ts';
import { trustRulesOf } from './trust/policy-rules.ts';

/** The bundle that comes with the broker, taken when the configuration names none. */
const SHIPPED_BUNDLE = fileURLToPath(new URL('../policies/bundle.tar.gz', import.meta.url));

const DAY_MS = 24 * 60 * 60 * 1000;

/** What the parts are opened over. */
export interface PartsDeps {
  config: Config;
  clock: Clock;
  log: Logger;
  store: Store;
  newId: (nowMs: number) => string;
  /** What requests can be about. */
  kinds: RequestKinds;
}

/** The inside of a broker: everything that does not know by which address it is reached. */
export interface Parts {
  control: ControlDeps;
  cursors: Cursors;
  scheduler: Scheduler;
  snapshots: Snapshots;
  metrics: Metrics;
  usage: Usage;
  keySets: KeySets;
  signingKeys: SigningKeys;
  /** The freezes that hold, as they are shown. */
  freezes(): string[];
  policy: BundleOutcome;
  masterKey: MasterKeyOutcome;
}

/**
 * Opens the inside of a broker.
 *
 * @throws Error or BundleError with a message for the operator; nothing has been changed when files are bad or the
 *   master key is wrong
 */
export async function openParts(deps: PartsDeps): Promise<Parts> {
  const { config, clock, log, store, newId, kinds } = deps;
  // 1. Keys of others and secrets: with bad files or the wrong master key it does not start, and has changed nothing.
  const keySets = createKeySets({ fetch, clock, log });
  await keySets.readFiles(config.workload_issuers);
  const { masterKey, outcome: masterKeyOutcome } = await openSecrets(store, config.master_key);

  // 2. Policy: without one nothing can be decided, and the broker does not start.
  const outcome = await takeBundle(deps);
  const policies = storedPolicies({
    inputs: inputVersions(kinds.all),
    log,
    assertUsable: trustRulesOf,
    policyChanged: followPolicy,
  });
  await policies.refresh(store.read);

  // 3. What is kept in memory of the store: snapshots for the data plane, the freezes that hold.
  const snapshots = createSnapshots({ load: snapshotLoader(store.read), log });
  for (const environment of environmentsOf(policies.latest())) await snapshots.refresh(environment);
  const freezes = await watchFreezes({ list: () => listActiveFreezes(store.read), log });

  // 4. The parts, from the inside out.
  const metrics = createMetrics({
    openRequests: () => countOpenRequests(store.read),
    activeFreezes: () => freezes.active().length,
  });
  const revocations = storedRevocations(policies);
  await revocations.refresh(store.read);
  const usage = createUsage({ writer: store.writer, clock });
  const signingKeys = await createSigningKeys({ store: storedSigningKeys(store), masterKey, clock });
  const events = {
    flagsChanged: snapshots.put,
    freezesChanged: freezes.refresh,
    revocationsChanged: () => {
      revocations
        .refresh(store.read)
        .catch((error: unknown) => log.error({ err: error }, 'revocations not read'));
    },
    keysChanged: () => signingKeys.refresh(),
    decided: metrics.decided,
    used: usage.used,
  };
  const control: ControlDeps = {
    store,
    policies,
    revocations,
    kinds,
    clock,
    newId,
    acrValuesFor: acrValuesFor(config.issuers),
    events,
  };
  const cursors = createCursors(await cursorSecret(store, masterKey));
  const scheduler = createScheduler({
    control,
    log,
    refreshPolicy,
    flushUsage: usage.flush,
    rotateDueKey: () =>
      rotateDueKey(control, {
        maxAgeMs: config.signing_key_days * DAY_MS,
        prepare: signingKeys.prepare,
      }),
  });
  return {
    control,
    cursors,
    scheduler,
    snapshots,
    metrics,
    usage,
    keySets,
    signingKeys,
    freezes: freezes.active,
    policy: outcome,
    masterKey: masterKeyOutcome,
  };

  /** What is kept in memory under a policy, once another one is active. */
  function followPolicy(policy: Policy): void {
    log.info({ policy_hash: policy.hash }, 'another policy is active');
    events.revocationsChanged();
    for (const environment of environmentsOf(policy)) refreshSnapshot(environment);
  }

  function refreshSnapshot(environment: string): void {
    snapshots
      .refresh(environment)
      .catch((error: unknown) => log.error({ err: error, environment }, 'snapshot not refreshed'));
  }

  /** What other brokers on the same store have activated; and the environments that could not be loaded then. */
  async function refreshPolicy(): Promise<void> {
    await policies.refresh(store.read);
    for (const environment of environmentsOf(policies.latest())) {
      if (snapshots.current(environment) === undefined) await snapshots.refresh(environment);
    }
  }
}

/** The bundle that the configuration names counts on the first start only; later starts do without the file. */
async function takeBundle(deps: PartsDeps): Promise<BundleOutcome> {
  const file = deps.config.policy_bundle ?? SHIPPED_BUNDLE;
  const active = await findActivation(deps.store.read);
  let bundle: Bundle;
  try {
    bundle = await readBundle(await readFile(file));
  } catch (error) {
    if (active === null)
      throw new BundleError(`the policy bundle ${file} cannot be used: ${(error as Error).message}`, error);
    return { kind: 'unreadable', hash: active.policy_hash, detail: (error as Error).message };
  }
  // Instantiated before it is stored: a bundle that cannot decide, or trusts too much, never becomes the active one.
  if (active === null)
    trustRulesOf(await createPolicy(bundle, { inputs: inputVersions(deps.kinds.all), log: deps.log }));
  return activateFirst(deps, bundle);
}
