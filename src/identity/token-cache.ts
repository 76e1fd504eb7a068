import { hash } from 'node:crypto';
import type { Clock } from '../clock.ts';

/** The maximum time for which a verified token is cached, in milliseconds. */
const CACHE_MAX_MS = 5 * 60_000;

/** What is cached of one token, without the token. */
export interface CachedToken<T> {
  readonly value: T;
  readonly keptMs: number;
  readonly untilMs: number;
  readonly generation: number;
}

/** A cache of recently verified tokens by hash. The tokens themselves are not stored. */
export interface TokenCache<T> {
  /** The cache key of a token: its hash. */
  keyOf(token: string): string;
  /** What is cached, or undefined if it is missing, expired or cleared. */
  find(key: string): CachedToken<T> | undefined;
  /** False from the moment at which {@link find} no longer answers it. It may have been evicted before. */
  isCurrent(cached: CachedToken<T>): boolean;
  /**
   * Caches the value until the token expires, {@link CACHE_MAX_MS} at most. `generation` is the value of
   * {@link generation} before verification began. A value verified with keys from before a `clear` is not cached.
   */
  keep(key: string, entry: { value: T; expiresMs: number; generation: number }): void;
  generation(): number;
  clear(): void;
}

/** Creates a cache of at most `capacity` tokens. The least recently used one is evicted first. */
export function createTokenCache<T>({ clock, capacity }: { clock: Clock; capacity: number }): TokenCache<T> {
  const entries = new Map<string, CachedToken<T>>();
  let generation = 0;

  function isCurrent({ keptMs, untilMs, generation: keptIn }: CachedToken<T>): boolean {
    const now = clock();
    // A clock that was set back would extend the entry's life, so the token is verified again.
    return keptIn === generation && now < untilMs && now >= keptMs;
  }

  return {
    isCurrent,
    keyOf: (token) => hash('sha256', token, 'base64'),
    find(key) {
      const entry = entries.get(key);
      if (entry === undefined) return undefined;
      entries.delete(key);
      if (!isCurrent(entry)) return undefined;
      entries.set(key, entry);
      return entry;
    },
    keep(key, { value, expiresMs, generation: verifiedIn }) {
      const now = clock();
      const untilMs = Math.min(expiresMs, now + CACHE_MAX_MS);
      if (verifiedIn !== generation || untilMs <= now) return;
      entries.delete(key);
      const oldest = entries.size >= capacity ? entries.keys().next() : undefined;
      if (oldest && !oldest.done) entries.delete(oldest.value);
      entries.set(key, { value, keptMs: now, untilMs, generation });
    },
    generation: () => generation,
    clear() {
      generation += 1;
      entries.clear();
    },
  };
}
