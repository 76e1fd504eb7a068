import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { Lane } from '../../src/operations.ts';
import { openStore, type Store } from '../../src/store/database.ts';
import { findMeta, setMeta } from '../../src/store/installation.ts';
import { RunAgain } from '../../src/store/run-again.ts';
import { holdWriteLock } from '../support/sqlite/file.ts';

let folder: string;
let store: Store;
/** Everything that happened, in order. */
let steps: string[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-again-'));
  store = await openStore({ file: join(folder, 'test.db'), clock: systemClock });
  steps = [];
});

afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true, force: true });
});

/** A write that counts itself in the store, and notes when it runs, is told of its commit, and is answered. */
function count(name: string, lane?: Lane): Promise<string> {
  return store.writer
    .write(async (tx, afterCommit) => {
      steps.push(`run ${name}`);
      afterCommit(() => steps.push(`commit ${name}`));
      const counted = String(Number((await findMeta(tx, 'count')) ?? 0) + 1);
      await setMeta(tx, 'count', counted);
      return counted;
    }, lane)
    .finally(() => steps.push(`answer ${name}`));
}

/** A write that needs preparation until `isReady`. */
function needing(
  isReady: () => boolean,
  prepare: () => Promise<unknown>,
  what = 'it',
  lane?: Lane,
): Promise<string> {
  return store.writer
    .write(async (tx, afterCommit) => {
      steps.push('run needing');
      afterCommit(() => steps.push('commit needing'));
      await setMeta(tx, 'half', 'done');
      if (!isReady()) throw new RunAgain(what, prepare);
      return 'ready';
    }, lane)
    .finally(() => steps.push('answer needing'));
}

/** A promise that a test fulfils. */
function gate(): { passed: Promise<void>; open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { passed: promise, open: resolve };
}

describe('a write that needs preparation', () => {
  it('is undone, prepared outside of any transaction, and run again: those before it are answered, those after it wait', async () => {
    let isReady = false;
    const prepare = async (): Promise<void> => {
      steps.push('prepare');
      expect(await findMeta(store.read, 'count')).toBe('1');
      expect(await findMeta(store.read, 'half')).toBeNull();
      // Nobody holds the lock of the writer meanwhile.
      holdWriteLock(join(folder, 'test.db'), { timeoutMs: 0 })();
      isReady = true;
    };
    const answers = await Promise.all([count('first'), needing(() => isReady, prepare), count('last')]);
    expect(answers).toEqual(['1', 'ready', '2']);
    expect(await findMeta(store.read, 'count')).toBe('2');
    expect(steps.filter((step) => !step.startsWith('answer'))).toEqual([
      'run first',
      'run needing',
      'commit first',
      'prepare',
      'run needing',
      'run last',
      'commit needing',
      'commit last',
    ]);
    expect(steps.filter((step) => step.startsWith('answer'))).toHaveLength(3);
    expect(steps.indexOf('answer needing')).toBeGreaterThan(steps.indexOf('commit needing'));
  });

  it('does not delay an emergency, before it or during the preparation, and keeps its own place', async () => {
    const ready = gate();
    let isReady = false;
    const waiting = needing(
      () => isReady,
      async () => {
        steps.push('prepare');
        await ready.passed;
        isReady = true;
      },
    );
    const after = count('after');
    await count('early', 'emergency');
    while (!steps.includes('prepare')) await new Promise((resolve) => setImmediate(resolve));
    await count('late', 'emergency');
    expect(steps).not.toContain('run after');
    ready.open();
    expect(await Promise.all([waiting, after])).toEqual(['ready', '3']);
    expect(steps.indexOf('commit needing')).toBeLessThan(steps.indexOf('commit after'));
  });

  it('does not wait for itself as an emergency', async () => {
    let isReady = false;
    const prepare = async () => {
      isReady = true;
    };
    const slow = gate();
    let isSlowReady = false;
    const ordinary = needing(
      () => isSlowReady,
      async () => {
        await slow.passed;
        isSlowReady = true;
      },
      'slow',
    );
    expect(await needing(() => isReady, prepare, 'quick', 'emergency')).toBe('ready');
    slow.open();
    expect(await ordinary).toBe('ready');
  });

  it('is prepared, however many others of the same batch are', async () => {
    const ready = new Set<string>();
    const names = Array.from({ length: 20 }, (_, index) => `what ${index}`);
    const answers = names.map((what) =>
      needing(
        () => ready.has(what),
        async () => ready.add(what),
        what,
      ),
    );
    expect(await Promise.all(answers)).toEqual(names.map(() => 'ready'));
  });

  it('that fails is written without the one that needed it, which gets the fault itself', async () => {
    const fault = new Error('it does not compile');
    const outcomes = await Promise.allSettled([
      count('first'),
      needing(
        () => false,
        () => Promise.reject(fault),
      ),
      count('last'),
    ]);
    expect(outcomes).toEqual([
      { status: 'fulfilled', value: '1' },
      { status: 'rejected', reason: fault },
      { status: 'fulfilled', value: '2' },
    ]);
    expect(await findMeta(store.read, 'half')).toBeNull();
    expect(steps.filter((step) => step === 'run needing')).toHaveLength(2);
    expect(steps).not.toContain('commit needing');
  });

  it('that fails for one is made for the others', async () => {
    const fault = new Error('it does not compile');
    const ready = new Set<string>();
    const good = (what: string) =>
      needing(
        () => ready.has(what),
        async () => ready.add(what),
        what,
      );
    const bad = needing(
      () => false,
      () => Promise.reject(fault),
      'bad',
    );
    expect(await Promise.allSettled([bad, good('one'), count('last'), good('two')])).toEqual([
      { status: 'rejected', reason: fault },
      { status: 'fulfilled', value: 'ready' },
      { status: 'fulfilled', value: '1' },
      { status: 'fulfilled', value: 'ready' },
    ]);
  });

  it('that never suffices is not run for ever', async () => {
    const outcomes = await Promise.allSettled([
      count('first'),
      needing(
        () => false,
        async () => undefined,
      ),
      count('last'),
    ]);
    expect(outcomes).toMatchObject([
      { value: '1' },
      { status: 'rejected', reason: { code: 'not_recorded' } },
      { value: '2' },
    ]);
    expect(steps.filter((step) => step === 'run needing').length).toBeLessThanOrEqual(5);
    expect(await findMeta(store.read, 'half')).toBeNull();
    expect(await count('later')).toBe('3');
  });

  it('is answered at a stop too', async () => {
    let isReady = false;
    const waiting = needing(
      () => isReady,
      async () => {
        isReady = true;
      },
    );
    await store.writer.close();
    expect(await waiting).toBe('ready');
  });
});
