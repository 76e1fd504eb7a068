import { createUsage } from './access/usage.ts';
import { accessCheck } from './activation/checks/access.ts';
import { createChecks } from './activation/checks/checks.ts';
import { flagsCheck } from './activation/checks/flags.ts';
import { nextActivationCheck } from './activation/checks/next-activation-check.ts';
import { openRequestsCheck } from './activation/checks/open-requests.ts';
import { createRuns } from './activation/checks/runs.ts';
import { createToldRuns } from './activation/checks/told-runs.ts';
import { createEvaluationRecorder } from './audit/record-evaluations.ts';
import type { Clock } from './clock.ts';
import type { Config } from './config.ts';
import { createTally, DEFINITIONS, type EvaluationReader } from './data/evaluation-tally.ts';
import { snapshotLoader } from './data/load-snapshot.ts';
import { openFollowing } from './data/open-following.ts';
import { openSnapshots } from './data/open-snapshots.ts';
import { type ControlDeps, environmentsOf, type RequestKinds } from './decide/control.ts';
import { placeFreezes } from './emergency/state.ts';
import { watchFreezes } from './emergency/watch.ts';
import { createCursors } from './http/cursor.ts';
import { createMetrics, type StreamCounts } from './http/metrics.ts';
import { createTurns } from './http/turns.ts';
import { acrValuesFor } from './issuers/issuers.ts';
import { createKeySets } from './issuers/key-sets.ts';
import { declaredStable } from './issuers/subjects.ts';
import { openLogKeys } from './keys/log-key.ts';
import { cursorSecret, openSecrets } from './keys/open-secrets.ts';
import { rotateDueKey, storedSigningKeys } from './keys/rotation.ts';
import { createSigningKeys } from './keys/signing-keys.ts';
import { createCheckpoints } from './log/checkpoints.ts';
import type { LogWatch } from './log/watch-log.ts';
import { openWitnesses } from './log/witnesses.ts';
import type { Logger } from './logger.ts';
import { DAY_MS } from './moment.ts';
import { OPERATIONS, operationsUnknownTo } from './operations.ts';
import { assertBoundToSomebody, boundToNobody, nobodyCould } from './policy/bound-issuers.ts';
import { loadBundleKeys } from './policy/bundle-keys.ts';
import { inputVersions } from './policy/input-versions.ts';
import { openPolicies } from './policy/open-policies.ts';
import type { Policy } from './policy/policies.ts';
import { probeBundle } from './policy/probe.ts';
import { openPublication } from './publication/open.ts';
import { connectedRelays, relaysByVersion } from './publication/relays.ts';
import { newId } from './random.ts';
import { requestKinds } from './requests/kinds/kinds.ts';
import { openQuestions } from './requests/open-questions.ts';
import { retentionTasks } from './retention/tasks.ts';
import { openRevocations } from './revocation/open-revocations.ts';
import { activePolicy } from './schedule/active-policy.ts';
import { countedDenials } from './schedule/denials.ts';
import { dueRequests } from './schedule/due-requests.ts';
import { evaluationRecords } from './schedule/evaluations.ts';
import { housekeeping } from './schedule/housekeeping.ts';
import { issuerKeys } from './schedule/issuer-keys.ts';
import { keyRotation } from './schedule/key-rotation.ts';
import { logWatch } from './schedule/log-watch.ts';
import { receipts } from './schedule/receipts.ts';
import { retention } from './schedule/retention.ts';
import { revocationsOfOthers } from './schedule/revocations.ts';
import { createScheduler } from './schedule/scheduler.ts';
import { snapshotDelays, snapshotPublication, snapshotStreams } from './schedule/snapshots.ts';
import { usageReport } from './schedule/usage.ts';
import { witnessJob } from './schedule/witnesses.ts';
import { listActiveFreezes } from './store/emergency.ts';
import { environmentVersions } from './store/flags.ts';
import { readHead } from './store/log-head.ts';
import { countReceipts } from './store/receipts.ts';
import { countOpenRequests } from './store/requests.ts';
import type { Store } from './store/store.ts';
import { assertSoundRules, trustRulesOf } from './trust/policy-rules.ts';

/** What the inside of a broker is opened with. */
export interface InsideOptions {
  config: Config;
  clock: Clock;
  log: Logger;
  watch: LogWatch;
  /** Activates a first policy also if it binds nobody who could sign in. */
  force?: boolean;
  /** The kinds of requests. Default: the built-in kinds. */
  kinds?: RequestKinds;
}

/** The inside of a broker. */
export type Inside = Awaited<ReturnType<typeof openInside>>;

/** The inside of a broker: everything that does not depend on its address. */
export async function openInside(store: Store, options: InsideOptions) {
  const { config, clock, log, watch, kinds = requestKinds, force = false } = options;
  const { read } = store;
  // 1. Keys of issuers, and secrets: with invalid files or the wrong master key the broker does not start.
  const keySets = createKeySets({ fetch, clock, log });
  await keySets.readFiles([...config.issuers, ...config.workload_issuers]);
  for (const declared of declaredStable(config.issuers)) {
    log.warn(declared, 'the configuration declares that this claim identifies a person for good');
  }
  const { masterKey, report: masterKeyReport } = await openSecrets(store, config.master_key);

  // 2. Policy.
  const inputs = inputVersions(kinds.all);
  const { policies, start } = await openPolicies({
    store,
    newId,
    file: config.policy_bundle,
    inputs,
    log,
    keys: await loadBundleKeys(config.bundle_keys),
    probe: (bundle) => probeBundle(bundle, inputs),
    assertUsable: trustRulesOf,
    assertSound: assertSoundRules,
    ...(force ? {} : { assertFirst: (policy) => assertBoundToSomebody(policy, config.issuers) }),
    policyChanged: followPolicy,
  });
  const environments = () => environmentsOf(policies.latest());
  const unknownOperations = () => [
    ...new Set(
      policiesOf(policies.latest()).flatMap(({ broker }) =>
        operationsUnknownTo(broker.operations, OPERATIONS),
      ),
    ),
  ];
  warnOfUnknown(policies.latest());
  const boundWarnings = () => {
    const lacking = boundToNobody(policies.latest(), config.issuers);
    return lacking.length === 0 ? [] : [{ code: 'nobody_bound', detail: nobodyCould(lacking) }];
  };
  const warnings = () => [...boundWarnings(), ...watch.warnings(), ...publication.delays.warnings()];
  warnOfNobody();

  // 3. Caches of the store.
  const snapshots = await openSnapshots({ load: snapshotLoader(read), log, environments: environments() });
  const secret = await cursorSecret(store, masterKey);
  const following = openFollowing({ snapshots, clock, secret, log });
  const freezes = await watchFreezes({
    list: async () => placeFreezes(read, await listActiveFreezes(read)),
    log,
  });
  const { revocations, changed: revocationsChanged } = await openRevocations({ policies, read, log });
  const logSize = async () => (await readHead(read)).size;
  const turns = createTurns();
  /** The streams that are opened later, each by its count. */
  const streamKinds: (() => StreamCounts)[] = [];
  const metrics = createMetrics({
    openRequests: () => countOpenRequests(read),
    activeFreezes: () => freezes.active().length,
    unknownOperations: () => unknownOperations().length,
    calls: turns.calls,
    wal: store.wal,
    writesRefused: async () => (await store.writeRefusal())?.code ?? null,
    logSize,
    logIsIntact: watch.isIntact,
    streams: () => [{ kind: 'flags', ...following.streams.counts() }, ...streamKinds.map((count) => count())],
    snapshots: {
      published: () => publication.report(),
      relays: async () => relaysByVersion(await publication.report(), await connectedRelays(read, clock())),
      receipts: () => countReceipts(read),
    },
    evaluations: () => ({
      waiting: (tally?.waiting() ?? 0) + (recorder?.unrecorded() ?? 0),
      shortened: tally?.shortened() ?? 0,
    }),
  });
  const usage = createUsage({ writer: store.writer, clock });
  const { interval_seconds, in_full } = config.evaluations;
  const tally = interval_seconds === 0 ? null : createTally(in_full);
  const signingKeys = await createSigningKeys({ store: storedSigningKeys(store), masterKey, clock });

  const state = {
    access: accessCheck,
    open_requests: openRequestsCheck(openQuestions(kinds)),
    flags: flagsCheck,
    next_activation: nextActivationCheck,
  };
  const checks = createChecks({
    ...{ read, policies, revocations, clock, inputs, state },
    flushUsage: usage.flush,
  });
  const runs = createRuns({
    ...{ checks, clock, newId, told: createToldRuns({ store, clock }) },
    onFault: (error) => log.error({ err: error }, 'the checks of a policy failed'),
  });

  // 4. The dependencies of use cases, and scheduled jobs.
  const control: ControlDeps = {
    store,
    policies,
    revocations,
    checks,
    kinds,
    clock,
    newId,
    acrValuesFor: acrValuesFor(config.issuers),
    events: {
      flagsChanged: (environment, version, flags) => {
        snapshots.put(environment, version, flags);
        publication.publisher.changed(environment);
      },
      freezesChanged: freezes.refresh,
      revocationsChanged: () => {
        revocationsChanged();
        publication.changed('readers');
      },
      keysChanged: signingKeys.refresh,
      decided: metrics.decided,
      stranger: usage.stranger,
      used: usage.used,
    },
  };
  const recorder = tally === null ? null : createEvaluationRecorder({ control, counts: tally, log });
  const evaluations =
    tally === null || recorder === null
      ? null
      : {
          note: tally.note,
          noteDefinitions: (reader: EvaluationReader, nowMs: number) =>
            tally.note(reader, DEFINITIONS, nowMs),
          flush: recorder.flush,
          intervalMs: interval_seconds * 1000,
        };
  const logKeys = openLogKeys({
    ...{ store, masterKey, clock },
    prefix: config.log_origin,
    publicUrl: config.public_url,
  });
  const checkpoints = createCheckpoints({
    store,
    clock,
    signers: logKeys.signers,
    onUnkept: (error) =>
      log.warn({ err: error }, 'the signed checkpoint could not be kept beside the database'),
  });
  const witnesses = openWitnesses({
    ...{ store, checkpoints, clock, fetch, log },
    ...{ witnesses: config.witnesses, quorum: config.witness_quorum },
  });
  const publication = openPublication({
    ...{ control, checkpoints, environments, log },
    publishedAfter: metrics.snapshotPublished,
    signers: logKeys.signers,
    config: config.snapshots,
  });
  const cursors = createCursors(secret);
  const catchUpFlags = () => environmentVersions(read).then(snapshots.catchUp);
  const rotation = { maxAgeMs: config.signing_key_days * DAY_MS, prepare: signingKeys.prepare };
  const scheduler = createScheduler({
    log,
    writeRefusal: store.writeRefusal,
    isScheduler: store.isScheduler,
    jobs: [
      dueRequests({ control, log }),
      receipts({ store, served: snapshots.current, clock, log }),
      countedDenials(control),
      activePolicy({
        refresh: () => policies.refresh(read),
        loadMissing: () => snapshots.loadMissing(environments()),
      }),
      revocationsOfOthers(() => revocations.follow(read)),
      usageReport(usage.flush),
      ...(evaluations === null ? [] : [evaluationRecords({ ...evaluations, clock })]),
      issuerKeys(keySets.refreshDue),
      logWatch({ ...watch, clock, log }),
      witnessJob({ witnesses, size: logSize, clock }),
      snapshotDelays(publication.delays),
      snapshotPublication(publication.publisher),
      snapshotStreams(publication.changed),
      housekeeping(control),
      retention({ tasks: retentionTasks(control, config.retention), clock, log }),
      keyRotation({ rotateDueKey: () => rotateDueKey(control, rotation), clock, log }),
    ],
  });
  // 5. What other brokers change. Writes read it under the lock of the log's head, so this is for reads.
  const takeOver = async () => {
    await Promise.all([
      policies.refresh(read),
      revocations.follow(read),
      freezes.reload(),
      signingKeys.reload(),
      catchUpFlags(),
    ]);
    for (const environment of publication.environments()) publication.publisher.changed(environment);
    publication.changed('latest');
    publication.changed('readers');
  };
  keySets.onChange(() => publication.changed('readers'));
  signingKeys.onChange(() => publication.changed('readers'));
  store.follow(takeOver, (error) =>
    log.error({ err: error }, 'could not take over what other brokers have written'),
  );
  return {
    ...{ config, clock, log, store, control, cursors, scheduler, start, masterKeyReport, unknownOperations },
    ...{
      keySets,
      signingKeys,
      snapshots,
      following,
      catchUpFlags,
      freezes,
      metrics,
      usage,
      evaluations,
      turns,
      runs,
      warnings,
      checkpoints,
      logKeys,
      witnesses,
      publication,
      streamKinds,
    },
  };

  /** Only who signs in could change it, so the operator has to. */
  function warnOfNobody(): void {
    const { hash } = policies.latest();
    for (const { code, detail } of boundWarnings()) log.warn({ policy_hash: hash, code }, detail);
  }

  /** An older bundle denies what a newer broker can do, and only its author can correct that. */
  function warnOfUnknown(policy: Policy): void {
    for (const { hash, broker } of policiesOf(policy)) {
      const operations = operationsUnknownTo(broker.operations, OPERATIONS);
      if (operations.length === 0) continue;
      log.warn({ policy_hash: hash, operations }, 'the active policy does not know these operations');
    }
  }

  /** Updates the caches that depend on the policy after an activation. */
  function followPolicy(policy: Policy): void {
    log.info({ policy_hash: policy.hash }, 'a new policy is active');
    warnOfUnknown(policy);
    warnOfNobody();
    revocationsChanged();
    publication.changed('readers');
    snapshots
      .reload(environmentsOf(policy))
      .catch((error: unknown) => log.error({ err: error }, 'could not load the snapshots'));
  }
}

/** The policies of all stages. */
function policiesOf(policy: Policy): Policy[] {
  return [policy, ...policy.earlier.values()];
}
