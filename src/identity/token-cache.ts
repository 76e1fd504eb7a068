import { hash } from 'node:crypto';
import type { Clock } from '../clock.ts';

/** The longest time that a verified token is believed without looking at it again, in milliseconds. */
const CACHE_MAX_MS = 5 * 60_000;

/** Tokens that were verified a moment ago, by their hash: the token itself is not kept. */
export interface TokenCache<T> {
  /** The hash that a token is kept under. */
  keyOf(token: string): string;
  /** The value, unless it was never kept, has expired or was cleared. */
  find(key: string): T | undefined;
  /**
   * Keeps the value until the token expires, {@link CACHE_MAX_MS} at most. `generation` is what {@link generation}
   * was before verification began: a value that was verified with keys from before a `clear` is not kept.
   */
  keep(key: string, entry: { value: T; expiresMs: number; generation: number }): void;
  generation(): number;
  clear(): void;
}

/** A cache of at most `capacity` tokens; the one that was used longest ago goes first. */
export function createTokenCache<T>({ clock, capacity }: { clock: Clock; capacity: number }): TokenCache<T> {
  const entries = new Map<string, { value: T; keptMs: number; untilMs: number }>();
  let generation = 0;
  return {
    keyOf: (token) => hash('sha256', token, 'base64'),
    find(key) {
      const entry = entries.get(key);
      if (entry === undefined) return undefined;
      entries.delete(key);
      const now = clock();
      // A clock that was set back would stretch the entry's life: then it is verified anew.
      if (now >= entry.untilMs || now < entry.keptMs) return undefined;
      entries.set(key, entry);
      return entry.value;
    },
    keep(key, { value, expiresMs, generation: verifiedIn }) {
      const now = clock();
      const untilMs = Math.min(expiresMs, now + CACHE_MAX_MS);
      if (verifiedIn !== generation || untilMs <= now) return;
      entries.delete(key);
      const oldest = entries.size >= capacity ? entries.keys().next() : undefined;
      if (oldest && !oldest.done) entries.delete(oldest.value);
      entries.set(key, { value, keptMs: now, untilMs });
    },
    generation: () => generation,
    clear() {
      generation += 1;
      entries.clear();
    },
  };
}
