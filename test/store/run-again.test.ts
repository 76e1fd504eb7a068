import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
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
function count(name: string): Promise<string> {
  return store.writer
    .write(async (tx, afterCommit) => {
      steps.push(`run ${name}`);
      afterCommit(() => steps.push(`commit ${name}`));
      const counted = String(Number((await findMeta(tx, 'count')) ?? 0) + 1);
      await setMeta(tx, 'count', counted);
      return counted;
    })
    .finally(() => steps.push(`answer ${name}`));
}

/** A write that needs preparation until `isReady`. */
function needing(isReady: () => boolean, prepare: () => Promise<unknown>, what = 'it'): Promise<string> {
  return store.writer
    .write(async (tx, afterCommit) => {
      steps.push('run needing');
      afterCommit(() => steps.push('commit needing'));
      await setMeta(tx, 'half', 'done');
      if (!isReady()) throw new RunAgain(what, prepare);
      return 'ready';
    })
    .finally(() => steps.push('answer needing'));
}

describe('a batch in which a write needs preparation', () => {
  it('is undone, prepared outside of any transaction, and run again once: each is answered once, after the commit', async () => {
    let isReady = false;
    const prepare = async (): Promise<void> => {
      steps.push('prepare');
      expect(await findMeta(store.read, 'count')).toBeNull();
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
      'prepare',
      'run first',
      'run needing',
      'run last',
      'commit first',
      'commit needing',
      'commit last',
    ]);
    expect(steps.filter((step) => step.startsWith('answer'))).toHaveLength(3);
    expect(steps.indexOf('answer first')).toBeGreaterThan(steps.indexOf('commit first'));
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
