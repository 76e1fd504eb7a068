import { existsSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { createUsage } from './access/usage.ts';
import { accessCheck } from './activation/checks/access.ts';
import { createChecks } from './activation/checks/checks.ts';
import { flagsCheck } from './activation/checks/flags.ts';
import { nextActivationCheck } from './activation/checks/next-activation-check.ts';
import { openRequestsCheck } from './activation/checks/open-requests.ts';
import { createRuns } from './activation/checks/runs.ts';
import { type AppDeps, createListener } from './app.ts';
import type { Clock } from './clock.ts';
import type { Config } from './config.ts';
import { snapshotLoader } from './data/load-snapshot.ts';
import { openSnapshots } from './data/open-snapshots.ts';
import { type ControlDeps, environmentsOf, type RequestKinds } from './decide/control.ts';
import { readablePlaces } from './decide/read.ts';
import { placeFreezes } from './emergency/state.ts';
import { freezeHeader, watchFreezes } from './emergency/watch.ts';
import { createClientAddress } from './http/client-address.ts';
import { createCursors } from './http/cursor.ts';
import { createMetrics } from './http/metrics.ts';
import { openApiText } from './http/openapi.ts';
import { createRateLimit, limitAttempts } from './http/rate-limit.ts';
import { assertFree, listen } from './http/server.ts';
import { createTurns } from './http/turns.ts';
import { createAuthenticator } from './identity/authenticate.ts';
import { createCallers } from './identity/callers.ts';
import type { RequestCredentials } from './identity/credential.ts';
import { acrValuesFor } from './issuers/issuers.ts';
import { createKeySets, withKeys } from './issuers/key-sets.ts';
import { declaredStable } from './issuers/subjects.ts';
import { openLogKeys } from './keys/log-key.ts';
import { cursorSecret, type MasterKeyReport, openSecrets } from './keys/open-secrets.ts';
import { rotateDueKey, storedSigningKeys } from './keys/rotation.ts';
import { createSigningKeys } from './keys/signing-keys.ts';
import { createCheckpoints } from './log/checkpoints.ts';
import { type LogWatch, watchLog } from './log/watch-log.ts';
import { openWitnesses } from './log/witnesses.ts';
import type { Logger } from './logger.ts';
import { DAY_MS } from './moment.ts';
import { OPERATIONS, operationsUnknownTo } from './operations.ts';
import { assertBoundToSomebody, boundToNobody, nobodyCould } from './policy/bound-issuers.ts';
import { loadBundleKeys } from './policy/bundle-keys.ts';
import type { BundleStart } from './policy/first-start.ts';
import { inputVersions } from './policy/input-versions.ts';
import { noBundle, openPolicies } from './policy/open-policies.ts';
import type { Policy } from './policy/policies.ts';
import { probeBundle } from './policy/probe.ts';
import { newId } from './random.ts';
import { requestKinds } from './requests/kinds/kinds.ts';
import { openQuestions } from './requests/open-questions.ts';
import { openRevocations } from './revocation/open-revocations.ts';
import { listRoutes } from './routes.ts';
import { activePolicy } from './schedule/active-policy.ts';
import { countedDenials } from './schedule/denials.ts';
import { dueRequests } from './schedule/due-requests.ts';
import { housekeeping } from './schedule/housekeeping.ts';
import { issuerKeys } from './schedule/issuer-keys.ts';
import { keyRotation } from './schedule/key-rotation.ts';
import { logWatch } from './schedule/log-watch.ts';
import { revocationsOfOthers } from './schedule/revocations.ts';
import { createScheduler, type Scheduler } from './schedule/scheduler.ts';
import { usageReport } from './schedule/usage.ts';
import { witnessJob } from './schedule/witnesses.ts';
import { hasCookie, SESSION_COOKIE } from './sessions/cookies.ts';
import { openPeople } from './sessions/people.ts';
import { openStore } from './store/database.ts';
import { isAddress } from './store/database-address.ts';
import { listActiveFreezes } from './store/emergency.ts';
import { explainFileFault } from './store/file-faults.ts';
import { readHead } from './store/log-head.ts';
import { findActivation, listBootstraps } from './store/policies.ts';
import { countOpenRequests } from './store/requests.ts';
import type { Store } from './store/store.ts';
import { findSystemRefusal } from './store/system-refusal.ts';
import { logWalCheckpoints } from './store/wal-reports.ts';
import { openExchange } from './tokens/open-exchange.ts';
import type { SubjectDeps } from './tokens/subject.ts';
import { assertSoundRules, trustRulesOf } from './trust/policy-rules.ts';
import { loadVersion } from './version.ts';

/*
 * The only composition root: every domain is opened here, from its own part of the configuration and the domains opened
 * before it. No other file depends on all of them.
 */

/** A running broker. */
export interface Broker {
  /** The address it listens on. */
  url: string;
  /** The outcome for the bundle that the configuration names. */
  policy: BundleStart;
  /** The operations that the active bundle does not know, and so denies. */
  unknownOperations: readonly string[];
  masterKey: MasterKeyReport;
  /** What the operator should correct. */
  warnings: readonly { code: string; detail: string }[];
  scheduler: Scheduler;
  store: Store;
  /** Finishes pending answers, the scheduler's run and the writer's batch. Then closes the store. */
  close(): Promise<void>;
}

/** The options of a broker. */
export interface BrokerOptions {
  config: Config;
  clock: Clock;
  log: Logger;
  /** Called if another process has taken the store over: this one must end. */
  onFailure?: (error: unknown) => void;
  /** Activates a first policy also if it binds nobody who could sign in. */
  force?: boolean;
  /** The kinds of requests. Default: the built-in kinds. */
  kinds?: RequestKinds;
  /** Called for each HTTP request before it is answered. Tests check every answer with it. */
  observe?: RequestListener;
  /** Leaves all requests of the control and audit planes to Express. Tests compare the answers of both ways. */
  onlyExpress?: boolean;
}

type OpenOptions = BrokerOptions & { watch: LogWatch };

/**
 * Opens every resource and starts listening.
 *
 * @throws Error, ConfigError or BundleError with a message for the operator
 */
export async function startBroker(options: BrokerOptions): Promise<Broker> {
  const { config, clock, log, onFailure } = options;
  // Before anything is created.
  const isOnServer = isAddress(config.database);
  if (config.policy_bundle === undefined && !isOnServer && !existsSync(config.database)) throw noBundle();
  await assertFree(config.listen);
  if (!isOnServer) assertCreatable(config.database);
  const store = await openStore({
    file: config.database,
    clock,
    log,
    onListenerFailure: (error) => log.error({ err: error }, 'a post-commit listener failed'),
    onWalCheckpoint: logWalCheckpoints(log),
    ...(onFailure === undefined ? {} : { onFailure }),
  });
  try {
    const watch = watchLog({ store, places: config.published_log, fetch, log });
    // Before anything is written.
    await watch.start();
    return await openOn(store, { ...options, watch });
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** Asserts that a first start can write, before it leaves a database without a policy behind. @throws Error if not */
function assertCreatable(database: string): void {
  const code = existsSync(database) ? null : findSystemRefusal(database);
  if (code !== null) throw explainFileFault(database, Object.assign(new Error(code), { code }));
}

async function openOn(store: Store, options: OpenOptions): Promise<Broker> {
  const inside = await openInside(store, options);
  // Listens before the surface is opened, because the broker signs its own address into tokens.
  const socket = await listen(options.config.listen);
  try {
    if (options.observe !== undefined) socket.serve(options.observe);
    const { onlyExpress = false } = options;
    socket.serve(createListener({ ...openSurface(inside, socket.url), onlyExpress }));
  } catch (error) {
    // An open socket would keep the process alive, and with it the port and the database.
    await socket.stop();
    throw error;
  }
  const { start, masterKeyReport, scheduler, usage, log } = inside;
  return {
    url: socket.url,
    policy: start,
    unknownOperations: inside.unknownOperations(),
    masterKey: masterKeyReport,
    warnings: inside.warnings(),
    scheduler,
    store,
    close: async () => {
      await socket.stop(scheduler.stop);
      // Not evidence: a store that takes no writes must still be closed.
      await usage.flush().catch((error: unknown) => log.warn({ err: error }, 'the last uses were not noted'));
      await store.close();
    },
  };
}

type Inside = Awaited<ReturnType<typeof openInside>>;

/** The inside of a broker: everything that does not depend on its address. */
async function openInside(store: Store, options: OpenOptions) {
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
  const warnings = () => [...boundWarnings(), ...watch.warnings()];
  warnOfNobody();

  // 3. Caches of the store.
  const snapshots = await openSnapshots({ load: snapshotLoader(read), log, environments: environments() });
  const freezes = await watchFreezes({
    list: async () => placeFreezes(read, await listActiveFreezes(read)),
    log,
  });
  const { revocations, changed: revocationsChanged } = await openRevocations({ policies, read, log });
  const logSize = async () => (await readHead(read)).size;
  const turns = createTurns();
  const metrics = createMetrics({
    openRequests: () => countOpenRequests(read),
    activeFreezes: () => freezes.active().length,
    unknownOperations: () => unknownOperations().length,
    calls: turns.calls,
    wal: store.wal,
    writesRefused: async () => (await store.writeRefusal())?.code ?? null,
    logSize,
    logIsIntact: watch.isIntact,
  });
  const usage = createUsage({ writer: store.writer, clock });
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
    ...{ checks, clock, newId },
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
      flagsChanged: snapshots.put,
      freezesChanged: freezes.refresh,
      revocationsChanged,
      keysChanged: signingKeys.refresh,
      decided: metrics.decided,
      stranger: usage.stranger,
      used: usage.used,
    },
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
  const cursors = createCursors(await cursorSecret(store, masterKey));
  const rotation = { maxAgeMs: config.signing_key_days * DAY_MS, prepare: signingKeys.prepare };
  const scheduler = createScheduler({
    log,
    writeRefusal: store.writeRefusal,
    jobs: [
      dueRequests({ control, log }),
      countedDenials(control),
      activePolicy({
        refresh: () => policies.refresh(read),
        loadMissing: () => snapshots.loadMissing(environments()),
      }),
      revocationsOfOthers(() => revocations.refresh(read)),
      usageReport(usage.flush),
      issuerKeys(keySets.refreshDue),
      logWatch({ ...watch, clock, log }),
      witnessJob({ witnesses, size: logSize, clock }),
      housekeeping(control),
      keyRotation({ rotateDueKey: () => rotateDueKey(control, rotation), clock, log }),
    ],
  });
  return {
    ...{ config, clock, log, store, control, cursors, scheduler, start, masterKeyReport, unknownOperations },
    ...{
      keySets,
      signingKeys,
      snapshots,
      freezes,
      metrics,
      usage,
      turns,
      runs,
      warnings,
      checkpoints,
      logKeys,
      witnesses,
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
    snapshots
      .reload(environmentsOf(policy))
      .catch((error: unknown) => log.error({ err: error }, 'could not load the snapshots'));
  }
}

/** The policies of all stages. */
function policiesOf(policy: Policy): Policy[] {
  return [policy, ...policy.earlier.values()];
}

/** The dependencies of the HTTP surface. @param url the address the broker listens on */
function openSurface(inside: Inside, url: string): Omit<AppDeps, 'onlyExpress'> {
  const { config, clock, log, store, control, keySets, signingKeys, metrics, usage } = inside;
  const { revocations, policies } = control;
  // The `iss` of the broker's tokens.
  const issuer = config.public_url ?? url;
  const addressOf = createClientAddress({ trusted: config.trusted_proxies, header: config.proxy_header });
  const countAttempt = limitAttempts(config.attempts_per_minute, addressOf);
  const limitCalls = {
    ordinary: createRateLimit(config.calls_per_minute),
    emergency: createRateLimit(config.calls_per_minute),
  };
  const authenticator = createAuthenticator({
    issuer,
    personIssuers: withKeys(config.issuers, keySets),
    keySets,
    signingKeys,
    clock,
    log,
    revoked: revocations.hitByLatest,
  });
  const people = openPeople({
    control,
    issuers: config.issuers,
    limits: config.sessions,
    authenticator,
    limitCalls: limitCalls.ordinary,
    publicUrl: issuer,
    clock,
    log,
  });
  const trust: SubjectDeps = {
    issuer,
    workloadIssuers: config.workload_issuers,
    personIssuers: config.issuers,
    keySets,
    clock,
    log,
  };
  const authenticate = createCallers({
    authenticator,
    sessions: people.sessions,
    revocations,
    read: store.read,
    limitCalls,
    turnedAway: metrics.turnedAway,
    seen: usage.seen,
    log,
  });
  const personIssuers = config.issuers.map((configured) => configured.issuer);
  const exchange = openExchange(control, { ...trust, signingKeys, examine: authenticator.examine });
  const hasSession = ({ cookie }: RequestCredentials) => hasCookie(cookie, SESSION_COOKIE);
  const checks = {
    store: () => findActivation(store.read),
    policy: () => policies.active(store.read),
    keys: () => signingKeys.jwks(),
  };
  const writeRefusal = () => store.writeRefusal();
  return {
    edge: {
      ...{ control, cursors: inside.cursors, authenticate, hasSession },
      freezesSeenBy: async (call) => {
        const active = inside.freezes.active();
        if (active.length === 0) return null;
        return freezeHeader(active, await readablePlaces(control, call, 'freeze.read', { counts: false }));
      },
    },
    turns: inside.turns,
    routes: {
      requests: { control },
      flags: { control },
      emergency: { control },
      revocation: { control, issuer, personIssuers, signingKeys },
      drill: { control, issuer, signingKeys, url, log },
      audit: { control },
      log: { control, checkpoints: inside.checkpoints, witnesses: inside.witnesses },
      activation: { control },
      checks: { control, runs: inside.runs },
      explain: { control, flushUsage: usage.flush },
      access: { control, flushUsage: usage.flush },
      sessions: { control, sessions: people.sessions },
      delegation: { control, signingKeys, issuer },
      keys: { control, signingKeys, logKeys: inside.logKeys },
      trust: { ...trust, control },
      tokens: { exchange, signingKeys },
      tokenStatus: { control, examine: authenticator.examine, issuer, signingKeys, log },
      metadata: { issuer },
      discovery: {
        issuers: config.issuers,
        version: loadVersion(),
        signInAgeS: async () => (await control.policies.active(control.store.read)).broker.sign_in_age_s,
      },
      auth: { ...people, control, authenticate, publicUrl: issuer },
      logout: { control, issuers: people.providers.issuers, keySets, clock, log },
      scim: { control, naming: config.provisioning, issuer },
      operating: {
        health: {
          checks,
          writeRefusal,
          bootstraps: () => listBootstraps(store.read),
          warnings: inside.warnings,
        },
        metrics,
        openapi: openApiText(() => listRoutes(control.kinds)),
      },
    },
    issuer,
    hosts: config.hosts,
    countAttempt,
    ofrep: {
      snapshots: inside.snapshots,
      countAttempt,
      clock,
      log,
      metrics: { answered: metrics.evaluated },
      authenticate: authenticator.authenticateData,
    },
    metrics,
    log,
  };
}
