import type { AppDeps } from './app.ts';
import type { Inside } from './broker-inside.ts';
import type { FlagdSyncParts } from './data/open-flagd-sync.ts';
import { createSnapshotEvents } from './data/snapshot-events.ts';
import { readablePlaces } from './decide/read.ts';
import { freezeHeader } from './emergency/watch.ts';
import { createFeed } from './events/feed.ts';
import { createClientAddress } from './http/client-address.ts';
import { openApiText } from './http/openapi.ts';
import { createRateLimit, limitAttempts } from './http/rate-limit.ts';
import { createAuthenticator } from './identity/authenticate.ts';
import { createCallers } from './identity/callers.ts';
import type { RequestCredentials } from './identity/credential.ts';
import { type DataCredentials, dataToken } from './identity/shown-token.ts';
import { withKeys } from './issuers/key-sets.ts';
import { openPublishedReaders } from './publication/readers.ts';
import { listRoutes } from './routes.ts';
import { hasCookie, SESSION_COOKIE } from './sessions/cookies.ts';
import { openPeople } from './sessions/people.ts';
import { findActivation, listBootstraps } from './store/policies.ts';
import { openExchange } from './tokens/open-exchange.ts';
import type { SubjectDeps } from './tokens/subject.ts';
import { loadVersion } from './version.ts';

/** The dependencies of the HTTP surface, and those of the sync of flagd. */
export interface Surface extends Omit<AppDeps, 'onlyExpress' | 'consoleFolder'> {
  flagdSync: FlagdSyncParts;
}

/** Opens the dependencies. @param url the address the broker listens on */
export function openSurface(inside: Inside, url: string): Surface {
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
  const feed = createFeed({ control, stillOpen: people.sessions.stillOpen, random: Math.random, log });
  const checks = {
    store: () => findActivation(store.read),
    policy: () => policies.active(store.read),
    keys: () => signingKeys.jwks(),
  };
  const writeRefusal = () => store.writeRefusal();
  const readers = openPublishedReaders({
    ...{ store, policies, issuer, keySets, clock },
    signers: inside.logKeys.signers,
    jwks: signingKeys.jwks,
    workloadIssuers: config.workload_issuers,
    personIssuers: config.issuers,
    lifeMs: inside.publication.readersLifeMs,
  });
  const snapshotEvents = createSnapshotEvents({
    files: { latest: inside.publication.published.latest, readers: readers.readers },
    isPublished: inside.publication.isPublished,
    ...{ clock, log },
    random: Math.random,
  });
  inside.streamKinds.push(() => ({ kind: 'snapshots', ...snapshotEvents.counts() }));
  inside.publication.onChange((what) => {
    // It never rejects.
    snapshotEvents.refresh(what).catch(() => undefined);
  });
  const byToken = {
    authenticate: authenticator.readers.authenticate,
    tokenOf: (credentials: DataCredentials) => dataToken(credentials).token,
    follow: async (token: string) => {
      const { caller, ...rest } = await authenticator.readers.follow(token);
      return { reader: caller, ...rest };
    },
  };
  const { evaluations } = inside;
  const counting =
    evaluations === null ? {} : { evaluated: evaluations.note, read: evaluations.noteDefinitions };
  return {
    edge: {
      ...{ control, cursors: inside.cursors, authenticate, hasSession },
      authenticateData: async ({ authorization, dpop, method, target }) => {
        const [proof, ...others] = dpop;
        // Two proofs are none.
        const sent = {
          authorization,
          apiKey: undefined,
          dpop: others.length === 0 ? proof : '',
          method,
          target,
        };
        return authenticator.readers.authenticate({ ...sent, connection: {} });
      },
      freezesSeenBy: async (call) => {
        const active = inside.freezes.active();
        if (active.length === 0) return null;
        return freezeHeader(active, await readablePlaces(control, call, 'freeze.read', { counts: false }));
      },
    },
    turns: inside.turns,
    routes: {
      requests: { control },
      comments: { control },
      preview: { control },
      events: { control, feed },
      organizations: { control, snapshots: inside.snapshots },
      inbox: { control },
      flags: { control },
      emergency: { control },
      revocation: { control, issuer, personIssuers, signingKeys },
      drill: { control, issuer, signingKeys, url, log },
      audit: { control },
      summary: { control },
      evaluations: { control },
      log: { control, checkpoints: inside.checkpoints, witnesses: inside.witnesses },
      activation: { control },
      erasure: { control },
      snapshots: { ...inside.publication, readers },
      reports: { control, keepsReads: inside.evaluations !== null, reported: metrics.relayReported },
      relays: { control },
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
    snapshotEvents,
    issuer,
    hosts: config.hosts,
    countAttempt,
    ofrep: {
      snapshots: inside.snapshots,
      countAttempt,
      clock,
      log,
      metrics: { answered: metrics.evaluated },
      ...counting,
      authenticate: byToken.authenticate,
      documents: inside.following.documents,
      catchUp: inside.catchUpFlags,
      streams: { ...inside.following, ...byToken },
    },
    flagdSync: {
      ...{ ...inside.following, ...byToken, ...counting, clock, log },
      attemptsPerMinute: config.attempts_per_minute,
    },
    metrics,
    log,
  };
}
