import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createTokenCache } from '../../src/identity/token-cache.ts';
import { createTestClock, START_MS } from './support.ts';

describe('the cache of verified tokens', () => {
  it('never answers at or after the time of expiry, whatever the clock does', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -1000, max: 900_000 }),
        fc.array(fc.integer({ min: -60_000, max: 400_000 })),
        (life, steps) => {
          const { clock, advance } = createTestClock();
          const cache = createTokenCache<string>({ clock, capacity: 10 });
          const expiresMs = START_MS + life;
          cache.keep('k', { value: 'v', expiresMs, generation: cache.generation() });
          const held = cache.find('k');
          for (const step of [0, ...steps]) {
            advance(step);
            const isOver = clock() >= Math.min(expiresMs, START_MS + 300_000);
            // Whoever has held it since then is told the same.
            if (held !== undefined) expect(cache.isCurrent(held)).toBe(!isOver && clock() >= START_MS);
            if (isOver) expect(cache.find('k')).toBeUndefined();
          }
        },
      ),
    );
  });

  it('answers until the last millisecond before the expiry', () => {
    const { clock, advance } = createTestClock();
    const cache = createTokenCache<number>({ clock, capacity: 10 });
    cache.keep('k', { value: 1, expiresMs: START_MS + 1000, generation: cache.generation() });
    advance(999);
    expect(cache.find('k')?.value).toBe(1);
    advance(1);
    expect(cache.find('k')).toBeUndefined();
  });

  it('drops what was used longest ago when it is full', () => {
    const { clock } = createTestClock();
    const cache = createTokenCache<number>({ clock, capacity: 2 });
    const keep = (key: string) => cache.keep(key, { value: 1, expiresMs: START_MS + 1000, generation: 0 });
    keep('a');
    keep('b');
    cache.find('a');
    keep('c');
    expect(['a', 'b', 'c'].map((key) => cache.find(key)?.value)).toEqual([1, undefined, 1]);
  });

  it('does not keep what was verified before it was cleared', () => {
    const { clock } = createTestClock();
    const cache = createTokenCache<number>({ clock, capacity: 2 });
    const generation = cache.generation();
    cache.clear();
    cache.keep('a', { value: 1, expiresMs: START_MS + 1000, generation });
    expect(cache.find('a')).toBeUndefined();
  });

  it('is over for everybody who holds a part of it when it is cleared', () => {
    const { clock } = createTestClock();
    const cache = createTokenCache<number>({ clock, capacity: 2 });
    cache.keep('a', { value: 1, expiresMs: START_MS + 1000, generation: cache.generation() });
    const held = cache.find('a');
    if (held === undefined) throw new Error('nothing was kept');
    expect(cache.isCurrent(held)).toBe(true);
    cache.clear();
    expect(cache.isCurrent(held)).toBe(false);
  });
});
