import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import { z } from 'zod';
import type { Clock } from '../clock.ts';
import { BrokerError } from '../errors.ts';
import { canonicalJson } from '../json.ts';
import { type DocumentFetch, fetchDocument } from './fetch-document.ts';
import { isFetchable } from './issuers.ts';
import { type IdentityLog, TokenRefused } from './refusal.ts';

/** How long fetched keys are used without asking again, in milliseconds. */
export const KEYS_FRESH_MS = 10 * 60_000;
/** How long keys are used while the issuer can't be reached, in milliseconds since they were fetched. */
export const KEYS_STALE_MS = 60 * 60_000;
/** The least time between two fetches because of an unknown key id, in milliseconds. */
export const UNKNOWN_KEY_COOLDOWN_MS = 30_000;
/** The least time between two fetches while the issuer does not answer, in milliseconds. */
export const FAILURE_COOLDOWN_MS = 5_000;

/** Whose keys, and where they are. */
export interface KeySource {
  issuer: string;
  jwks_uri?: string | undefined;
  allow_insecure_loopback: boolean;
}

/** What {@link createKeySets} needs. */
export interface KeySetDeps extends Partial<DocumentFetch> {
  fetch: typeof globalThis.fetch;
  clock: Clock;
  log: IdentityLog;
}

/** The keys of all issuers in use, one set for each. */
export interface KeySets {
  /**
   * Finds the issuer's key for a token's header. Keys are bound to the source that is asked; a token can't choose it.
   *
   * @throws TokenRefused `key_not_found`
   * @throws BrokerError `issuer_unavailable` when there are no keys young enough and none can be fetched
   */
  keysOf(source: KeySource): JWTVerifyGetKey;
  /** Calls back whenever an issuer's published keys have changed. */
  onChange(listener: () => void): void;
}

const jwksSchema = z.object({ keys: z.array(z.record(z.string(), z.unknown())).min(1) });
const discoverySchema = z.object({ issuer: z.string(), jwks_uri: z.string() });

/**
 * Remote key sets that a flood of tokens can't turn into a flood of fetches: one fetch in flight for each issuer,
 * a cooldown after each, and the last good keys for an hour when the issuer fails. jose's own remote set is not used
 * because a failing endpoint has no cooldown there, and its time can't be injected.
 */
export function createKeySets({ fetch, clock, log, timeoutMs = 5_000 }: KeySetDeps): KeySets {
  const sets = new Map<string, JWTVerifyGetKey>();
  const listeners: (() => void)[] = [];
  const notify = (): void => {
    for (const listener of listeners) listener();
  };
  return {
    keysOf(source) {
      const name = canonicalJson([source.issuer, source.jwks_uri ?? null, source.allow_insecure_loopback]);
      const existing = sets.get(name);
      if (existing) return existing;
      const load = (): Promise<JSONWebKeySet> => loadKeys(source, { fetch, timeoutMs });
      const created = createKeySet({ issuer: source.issuer, load, clock, log, notify });
      sets.set(name, created);
      return created;
    },
    onChange(listener) {
      listeners.push(listener);
    },
  };
}

async function loadKeys(source: KeySource, network: DocumentFetch): Promise<JSONWebKeySet> {
  const address = source.jwks_uri ?? (await discover(source, network));
  if (!isFetchable(address, source.allow_insecure_loopback)) throw new Error('jwks_uri is not an https URL');
  const document = jwksSchema.parse(await fetchDocument(address, network));
  return document as unknown as JSONWebKeySet;
}

/** OpenID Connect Discovery 1.0 section 4, with the keys on the issuer's own host only. */
async function discover(source: KeySource, network: DocumentFetch): Promise<string> {
  const address = `${source.issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  if (!isFetchable(address, source.allow_insecure_loopback))
    throw new Error('the issuer is not an https URL');
  const metadata = discoverySchema.parse(await fetchDocument(address, network));
  if (metadata.issuer !== source.issuer) throw new Error('the discovery document names another issuer');
  if (!URL.canParse(metadata.jwks_uri) || new URL(metadata.jwks_uri).host !== new URL(source.issuer).host) {
    throw new Error('the discovered jwks_uri is on another host: configure jwks_uri for this issuer');
  }
  return metadata.jwks_uri;
}

interface KeySetParts {
  issuer: string;
  load: () => Promise<JSONWebKeySet>;
  clock: Clock;
  log: IdentityLog;
  notify: () => void;
}

function createKeySet({ issuer, load, clock, log, notify }: KeySetParts): JWTVerifyGetKey {
  let known: { find: JWTVerifyGetKey; text: string; fetchedMs: number } | null = null;
  let attemptedMs = Number.NEGATIVE_INFINITY;
  let inFlight: Promise<void> | null = null;

  const fetchOnce = async (): Promise<void> => {
    attemptedMs = clock();
    try {
      const keys = await load();
      const text = canonicalJson(keys);
      const changed = known !== null && known.text !== text;
      known = { find: createLocalJWKSet(keys), text, fetchedMs: clock() };
      if (changed) notify();
    } catch (cause) {
      log.warn(
        { issuer, cause: cause instanceof Error ? cause.message : 'unknown' },
        'issuer keys not fetched',
      );
    } finally {
      inFlight = null;
    }
  };

  /** Fetches, joins the fetch in flight, or does nothing while the cooldown lasts. */
  const refresh = async (cooldownMs: number): Promise<void> => {
    if (inFlight === null && Math.abs(clock() - attemptedMs) < cooldownMs) return;
    inFlight ??= fetchOnce();
    await inFlight;
  };

  const ageMs = (): number =>
    known === null ? Number.POSITIVE_INFINITY : Math.abs(clock() - known.fetchedMs);

  return async (header, token) => {
    if (ageMs() > KEYS_FRESH_MS) await refresh(FAILURE_COOLDOWN_MS);
    if (known === null || ageMs() > KEYS_STALE_MS) {
      throw new BrokerError(
        'issuer_unavailable',
        'The keys of the token issuer cannot be fetched now. Try again in a few seconds.',
        { headers: { 'Retry-After': String(FAILURE_COOLDOWN_MS / 1000) } },
      );
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
}
