import type { JSONWebKeySet } from 'jose';
import type { Clock } from '../clock.ts';
import { dataEnvironmentOf } from '../identity/issued-token.ts';
import {
  algorithmsOf,
  type IssuerConfig,
  type WorkloadIssuer,
  workloadSettings,
} from '../issuers/issuers.ts';
import type { KeySets } from '../issuers/key-sets.ts';
import type { Policies } from '../policy/active.ts';
import type { Policy } from '../policy/policies.ts';
import { type ReaderRule, type ReadersContent, readersDigest, signReaders } from '../snapshot/readers.ts';
import { readHead } from '../store/log-head.ts';
import { listActiveRevocations, revocationEpoch } from '../store/revocations.ts';
import type { Store } from '../store/store.ts';
import type { NoteSigner } from '../tree/note.ts';
import { audiencesOfPeople } from '../trust/platform-token.ts';
import { trustRulesOf } from '../trust/policy-rules.ts';
import { rulesByName, type TrustRule } from '../trust/rules.ts';
import { listRevoked } from './revoked.ts';

/** The lists of readers of the environments. */
export interface PublishedReaders {
  /**
   * The newest list of an environment. It is signed again when policy, keys or revocations change, and at half of its life.
   *
   * @throws BrokerError `restored_copy`, `log_altered`
   */
  readers(environment: string): Promise<string>;
}

/** What {@link openPublishedReaders} needs. */
export interface PublishedReadersDeps {
  store: Pick<Store, 'read' | 'settle' | 'writeRefusal'>;
  policies: Policies<Store['read']>;
  /** The keys of the log that sign now, the newest first. */
  signers: () => Promise<[NoteSigner, ...NoteSigner[]]>;
  /** The `iss` of the broker's tokens. */
  issuer: string;
  /** The keys that verify them. */
  jwks: () => Promise<JSONWebKeySet>;
  keySets: Pick<KeySets, 'published'>;
  workloadIssuers: readonly WorkloadIssuer[];
  personIssuers: readonly IssuerConfig[];
  clock: Clock;
  /** How long a list is valid. */
  lifeMs: number;
}

/** A list that was signed. */
interface Signed {
  readonly text: string;
  readonly digest: string;
  /** The revocations and the policy that it was made of. */
  readonly of: string;
  readonly by: string;
  readonly atMs: number;
}

/** Opens the lists. Each broker signs for itself what all of them read. */
export function openPublishedReaders(deps: PublishedReadersDeps): PublishedReaders {
  const { store, policies, signers, clock, lifeMs } = deps;
  const signed = new Map<string, Signed>();

  let hashed: { of: string; revoked: ReadersContent['revoked'] } | null = null;

  /** Hashing some thousand names takes its time, and they seldom change. */
  async function revokedIn(
    db: Store['read'],
    under: { origin: string; policy: Policy },
  ): Promise<{ of: string; revoked: ReadersContent['revoked'] }> {
    const of = `${under.origin} ${under.policy.hash} ${await revocationEpoch(db)}`;
    if (hashed?.of !== of)
      hashed = { of, revoked: listRevoked(await listActiveRevocations(db), { ...under, nowMs: clock() }) };
    return hashed;
  }

  /** What the list says, and the size of the log that it reflects. */
  async function contentOf(environment: string, origin: string) {
    // One read transaction: whoever has this size has these revocations.
    const { head, policy, of, revoked } = await store.read.transaction().execute(async (db) => {
      const policy = await policies.active(db);
      return { head: await readHead(db), policy, ...(await revokedIn(db, { origin, policy })) };
    });
    await store.settle(head);
    const rules = readerRules(policy, environment);
    const content: ReadersContent = {
      tokens: { issuer: deps.issuer, jwks: plain(await deps.jwks()) },
      rules,
      issuers: await issuersOf(deps, rules),
      revoked,
    };
    return { head, of, content };
  }

  async function look(environment: string): Promise<Signed> {
    const refusal = await store.writeRefusal();
    if (refusal?.code === 'restored_copy' || refusal?.code === 'log_altered') throw refusal;
    const keys = await signers();
    const by = keys.map(({ verifier }) => verifier.vkey).join(' ');
    const { name: origin } = keys[0].verifier;
    const { head, of, content } = await contentOf(environment, origin);
    const digest = readersDigest(content);
    const nowMs = clock();
    const kept = signed.get(environment);
    const isYoung = kept !== undefined && Math.abs(nowMs - kept.atMs) < lifeMs / 2;
    // Another broker may have signed what was there meanwhile. For whoever has that, the kept one would be a step back.
    const isSame = isYoung && kept.of === of && kept.digest === digest;
    if (isSame && kept.by === by) return kept;
    const iat = Math.floor(nowMs / 1000);
    const claims = {
      ...{ environment, epoch: head.epoch, origin, sequence: head.size, digest },
      ...{ iat, exp: iat + Math.floor(lifeMs / 1000) },
      ...content,
    };
    const fresh = { text: signReaders(claims, keys), digest, of, by, atMs: nowMs };
    signed.set(environment, fresh);
    return fresh;
  }

  const looking = new Map<string, { running: Promise<Signed>; next: Promise<Signed> | null }>();

  /** One that runs may have begun before the change, so whoever asks meanwhile shares the next one. */
  function share(environment: string): Promise<Signed> {
    const state = looking.get(environment);
    if (state !== undefined) {
      state.next ??= state.running.then(
        () => start(environment),
        () => start(environment),
      );
      return state.next;
    }
    return start(environment);
  }

  function start(environment: string): Promise<Signed> {
    const running = look(environment);
    const state = { running, next: null };
    looking.set(environment, state);
    const done = () => {
      if (looking.get(environment) === state && state.next === null) looking.delete(environment);
    };
    running.then(done, done);
    return running;
  }

  return { readers: async (environment) => (await share(environment)).text };
}

/**
 * The rules by which a platform's token reads without an exchange. A rule that grants anything else is not among them: a relay
 * must never be shown a token that does more than read, since it could exchange it itself. Nor is one that demands a bound key,
 * which no platform's token has, or the rule of an agent, which acts for a person.
 */
function readerRules(policy: Policy, environment: string): ReaderRule[] {
  return rulesByName(trustRulesOf(policy))
    .filter(([, rule]) => isOfReader(rule, environment))
    .map(([name, { issuer, platform, audience, claims, person, rerun_by, grant }]) => ({
      ...{ name, issuer, audience, claims },
      ...(platform && { platform }),
      ...(person && { person }),
      ...(rerun_by && { rerun_by }),
      namespaces: grant.namespaces.includes('*') ? ['*'] : [...new Set(grant.namespaces)].sort(),
    }));
}

function isOfReader({ kind, grant }: TrustRule, environment: string): boolean {
  const { audiences, operations, require_dpop } = grant;
  return (
    kind === 'workload' &&
    !require_dpop &&
    operations.length === 0 &&
    audiences.includes(`data:${environment}`) &&
    audiences.every((audience) => dataEnvironmentOf(audience) !== null)
  );
}

async function issuersOf(
  { keySets, workloadIssuers, personIssuers }: PublishedReadersDeps,
  rules: readonly ReaderRule[],
): Promise<ReadersContent['issuers']> {
  const issuers = [...new Set(rules.map(({ issuer }) => issuer))].sort();
  return Promise.all(
    issuers.map(async (issuer) => {
      const settings = workloadSettings(workloadIssuers, issuer);
      const jwks = settings === null ? null : await keySets.published(settings);
      return {
        issuer,
        algorithms: settings === null ? [] : [...algorithmsOf(settings)],
        jwks: jwks === null ? null : plain(jwks),
        people: audiencesOfPeople(personIssuers, issuer),
      };
    }),
  );
}

/** Plain JSON, as it is signed and compared. */
function plain(jwks: JSONWebKeySet): ReadersContent['tokens']['jwks'] {
  return JSON.parse(JSON.stringify({ keys: jwks.keys })) as ReadersContent['tokens']['jwks'];
}
