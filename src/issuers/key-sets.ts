import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import { z } from 'zod';
import type { Clock } from '../clock.ts';
import { BrokerError } from '../errors.ts';
import { type IdentityLog, TokenRefused } from '../identity/refusal.ts';
import { canonicalJson } from '../json.ts';
import { type DocumentFetch, fetchDocument } from './fetch-document.ts';
import { isFetchable } from './issuers.ts';
import { createFileKeySet, type FileKeySet, type IssuerKeys } from './key-file.ts';
import { type KeyUse, reasonsOf, UnusableKeySet, type UsableKeys, usableKeys } from './key-filter.ts';
import { isTrustDomain } from './spiffe.ts';
import { assertPublicSubjects, type Identification, requiresPublicSubjects } from './subjects.ts';

/** How long fetched keys are fresh, in milliseconds. */
const KEYS_FRESH_MS = 10 * 60_000;
/** How long keys are used while the issuer is unreachable, in milliseconds since the fetch. */
const KEYS_STALE_MS = 60 * 60_000;
/** The minimum time between two fetches for unknown key ids, in milliseconds. */
export const UNKNOWN_KEY_COOLDOWN_MS = 30_000;
/** The minimum time between two fetches while the issuer does not respond, in milliseconds. */
const FAILURE_COOLDOWN_MS = 5_000;

/** An issuer and the source of its keys. For an issuer of people, also what decides who is a person there. */
export interface KeySource extends Partial<Identification> {
  /** An issuer's URL, or a SPIFFE trust domain. */
  issuer: string;
  jwks_uri?: string | undefined;
  /** The absolute path of a file with the key set. */
  jwks_file?: string | undefined;
  allow_insecure_loopback: boolean;
}

/** What {@link createKeySets} needs. Default of `timeoutMs`: 5 seconds. */
export interface KeySetDeps extends Partial<DocumentFetch> {
  fetch: typeof globalThis.fetch;
  clock: Clock;
  log: IdentityLog;
}

/** The keys of all issuers in use, one set for each. */
export interface KeySets {
  /**
   * Finds the issuer's key for a token's header. Keys belong to the given source. A token cannot choose another one.
   *
   * @throws TokenRefused `key_not_found`
   * @throws BrokerError `issuer_unavailable` when all keys are stale and none can be fetched
   */
  keysOf(source: KeySource): JWTVerifyGetKey;
  /**
   * For whatever changes something, after the token is verified: checks that the issuer has not withdrawn its keys as a
   * whole. With an empty or unusable set it does; {@link keysOf} then still finds the last good ones, for reads.
   *
   * @throws BrokerError `issuer_unavailable`
   */
  assertNotWithdrawn(source: KeySource): Promise<void>;
  /** The keys of a source that are believed now, for whoever verifies elsewhere ({@link IssuerKeys.published}). Never rejects. */
  published(source: KeySource): Promise<JSONWebKeySet | null>;
  /**
   * Reads the key files of all sources. The broker does not start with an invalid one.
   *
   * @throws Error naming each unusable file and its fault
   */
  readFiles(sources: readonly KeySource[]): Promise<void>;
  /** Fetches the keys that are in use and no longer fresh. Called regularly, so that no token waits for it. Never rejects. */
  refreshDue(): Promise<void>;
  /** Registers a callback for changes of an issuer's published keys. */
  onChange(listener: () => void): void;
}

const discoverySchema = z.object({
  issuer: z.string(),
  jwks_uri: z.string(),
  subject_types_supported: z.array(z.string()).optional(),
});

/**
 * Remote key sets with bounded fetches: one fetch in flight per issuer, a cooldown after each, and the last valid keys
 * for an hour when the issuer fails. Keys that are no longer fresh are fetched behind the answer: an issuer that hangs
 * keeps no token waiting whose key is known. A valid set replaces the last one at once; one without usable keys withdraws
 * all keys for writes at once. jose's own remote set is not used, because it has no cooldown for a failing
 * endpoint and no injectable clock.
 */
export function createKeySets({ fetch, clock, log, timeoutMs = 5_000 }: KeySetDeps): KeySets {
  const fetched = new Map<string, FetchedKeys>();
  const files = new Map<string, FileKeySet>();
  const listeners: (() => void)[] = [];
  const notify = (): void => {
    for (const listener of listeners) listener();
  };
  const fileKeySet = ({ issuer }: KeySource, file: string): FileKeySet =>
    findOrMake(files, canonicalJson([issuer, file]), () =>
      createFileKeySet({ issuer, file, use: useOf(issuer), clock, log, notify }),
    );
  const keysOf = (source: KeySource): FetchedKeys | FileKeySet =>
    source.jwks_file === undefined
      ? findOrMake(fetched, nameOf(source), () => {
          const load = (): Promise<UsableKeys> => loadKeys(source, { fetch, timeoutMs });
          return createKeySet({ issuer: source.issuer, load, clock, log, notify });
        })
      : fileKeySet(source, source.jwks_file);
  return {
    keysOf: (source) => keysOf(source).find,
    assertNotWithdrawn: async (source) => {
      if (!(await keysOf(source).isWithdrawn())) return;
      throw unavailable(
        'The issuer of the token has withdrawn its keys. Nothing can be changed with its tokens.',
      );
    },
    published: (source) => keysOf(source).published(),
    readFiles: async (sources) => {
      const faults: string[] = [];
      for (const source of sources) {
        if (source.jwks_file === undefined) continue;
        await fileKeySet(source, source.jwks_file)
          .read()
          .catch(({ message }: Error) => {
            faults.push(`  ${source.jwks_file} of ${source.issuer}: ${message}`);
          });
      }
      if (faults.length > 0) throw new Error(`key files are not usable:\n${faults.join('\n')}`);
    },
    refreshDue: async () => {
      await Promise.all([...fetched.values()].map(({ refreshDue }) => refreshDue()));
    },
    onChange(listener) {
      listeners.push(listener);
    },
  };
}

function nameOf(source: KeySource): string {
  return canonicalJson([
    source.issuer,
    source.jwks_uri ?? null,
    source.allow_insecure_loopback,
    requiresPublicSubjects(source),
  ]);
}

function findOrMake<T>(known: Map<string, T>, name: string, make: () => T): T {
  const found = known.get(name) ?? make();
  known.set(name, found);
  return found;
}

/** Bundles of trust domains also contain keys for X.509, which do not verify tokens. */
function useOf(issuer: string): KeyUse {
  return isTrustDomain(issuer) ? 'jwt-svid' : 'sig';
}

async function loadKeys(source: KeySource, network: DocumentFetch): Promise<UsableKeys> {
  const address = source.jwks_uri ?? (await discover(source, network));
  if (!isFetchable(address, source.allow_insecure_loopback)) throw new Error('jwks_uri is not an https URL');
  const usable = usableKeys(await fetchDocument(address, network), useOf(source.issuer));
  if (usable.keys.keys.length === 0) {
    throw new UnusableKeySet(`none of its keys is usable (${reasonsOf(usable)})`);
  }
  return usable;
}

/**
 * OpenID Connect Discovery 1.0 section 4, restricted to keys on the issuer's own host.
 *
 * @throws SubjectsDiffer for an issuer of people with several clients that does not promise them the same subjects
 */
async function discover(source: KeySource, network: DocumentFetch): Promise<string> {
  const address = `${source.issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  if (!isFetchable(address, source.allow_insecure_loopback))
    throw new Error('the issuer is not an https URL');
  const metadata = discoverySchema.parse(await fetchDocument(address, network));
  if (metadata.issuer !== source.issuer) throw new Error('the discovery document names another issuer');
  if (!URL.canParse(metadata.jwks_uri) || new URL(metadata.jwks_uri).host !== new URL(source.issuer).host) {
    throw new Error('the discovered jwks_uri is on another host: configure jwks_uri for this issuer');
  }
  assertPublicSubjects(source, metadata.subject_types_supported);
  return metadata.jwks_uri;
}

/** Keys that are fetched. */
interface FetchedKeys extends IssuerKeys {
  /** Fetches keys that were fetched before and are no longer fresh. Never rejects. */
  refreshDue(): Promise<void>;
}

interface KeySetParts {
  issuer: string;
  load: () => Promise<UsableKeys>;
  clock: Clock;
  log: IdentityLog;
  notify: () => void;
}

function createKeySet({ issuer, load, clock, log, notify }: KeySetParts): FetchedKeys {
  let known: { find: JWTVerifyGetKey; text: string; fetchedMs: number } | null = null;
  let attemptedMs = Number.NEGATIVE_INFINITY;
  let inFlight: Promise<void> | null = null;
  let isWithdrawn = false;

  const fetchOnce = async (): Promise<void> => {
    attemptedMs = clock();
    try {
      const { keys, skipped } = await load();
      const text = canonicalJson(keys);
      const isNew = known?.text !== text;
      const isChange = isNew && known !== null;
      known = { find: createLocalJWKSet(keys), text, fetchedMs: clock() };
      isWithdrawn = false;
      if (isNew && skipped.length > 0) log.info({ issuer, skipped }, 'issuer keys skipped');
      if (isChange) notify();
    } catch (cause) {
      isWithdrawn ||= cause instanceof UnusableKeySet;
      log.warn(
        { issuer, cause: cause instanceof Error ? cause.message : 'unknown' },
        'issuer keys not fetched',
      );
    } finally {
      inFlight = null;
    }
  };

  /** Fetches, joins the fetch in flight, or does nothing during the cooldown. */
  const refresh = async (cooldownMs: number): Promise<void> => {
    if (inFlight === null && Math.abs(clock() - attemptedMs) < cooldownMs) return;
    inFlight ??= fetchOnce();
    await inFlight;
  };

  const ageMs = (): number =>
    known === null ? Number.POSITIVE_INFINITY : Math.abs(clock() - known.fetchedMs);

  const refreshDue = async (): Promise<void> => {
    if (known !== null && (ageMs() > KEYS_FRESH_MS || isWithdrawn)) await refresh(FAILURE_COOLDOWN_MS);
  };

  const find: JWTVerifyGetKey = async (header, token) => {
    if (ageMs() > KEYS_STALE_MS) await refresh(FAILURE_COOLDOWN_MS);
    else refreshDue().catch(() => undefined);
    if (known === null || ageMs() > KEYS_STALE_MS) {
      throw unavailable('The keys of the token issuer are unavailable.');
    }
    const before = known.text;
    try {
      return await known.find(header, token);
    } catch (error) {
      if (error instanceof errors.JWKSNoMatchingKey) await refresh(UNKNOWN_KEY_COOLDOWN_MS);
      if (known.text === before) throw new TokenRefused('key_not_found', undefined, error);
    }
    try {
      return await known.find(header, token);
    } catch (error) {
      throw new TokenRefused('key_not_found', undefined, error);
    }
  };
  return {
    find,
    refreshDue,
    isWithdrawn: async () => {
      if (isWithdrawn) await refresh(FAILURE_COOLDOWN_MS);
      return isWithdrawn;
    },
    published: async () => {
      if (known === null) await refresh(FAILURE_COOLDOWN_MS);
      if (isWithdrawn) return { keys: [] };
      return known === null ? null : (JSON.parse(known.text) as JSONWebKeySet);
    },
  };
}

function unavailable(detail: string): BrokerError {
  return new BrokerError('issuer_unavailable', `${detail} Try again in a few seconds.`, {
    headers: { 'Retry-After': String(FAILURE_COOLDOWN_MS / 1000) },
  });
}

/** Each issuer with the keys that verify its tokens. */
export function withKeys<Issuer extends KeySource>(
  issuers: readonly Issuer[],
  keySets: Pick<KeySets, 'keysOf' | 'assertNotWithdrawn'>,
): (Issuer & { keys: JWTVerifyGetKey; assertNotWithdrawn(): Promise<void> })[] {
  return issuers.map((issuer) => ({
    ...issuer,
    keys: keySets.keysOf(issuer),
    assertNotWithdrawn: () => keySets.assertNotWithdrawn(issuer),
  }));
}
