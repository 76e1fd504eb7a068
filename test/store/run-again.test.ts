import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { Lane } from '../../src/operations.ts';
import { openStore } from '../../src/store/database.ts';
import { findMeta, setMeta } from '../../src/store/installation.ts';
import { RunAgain } from '../../src/store/run-again.ts';
import type { Store } from '../../src/store/store.ts';
import { createPlace, type Place } from '../support/place.ts';

const CRASH_CHILD = fileURLToPath(new URL('../support/waiting-child.ts', import.meta.url));

let place: Place;
let store: Store;
/** Everything that happened, in order. */
let steps: string[];

beforeEach(async () => {
  place = await createPlace();
  store = await openStore({ file: place.database, clock: systemClock });
  steps = [];
});

afterEach(async () => {
  await store.close();
  await place.remove();
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
  it('is undone, prepared outside of any transaction, and run again: all others are answered meanwhile', async () => {
    let isReady = false;
    const prepare = async (): Promise<void> => {
      steps.push('prepare');
      expect(await findMeta(store.read, 'count')).toBe('2');
      expect(await findMeta(store.read, 'half')).toBeNull();
      // Nobody holds the lock of the writer meanwhile.
      await place.takeLock();
      isReady = true;
    };
    const answers = await Promise.all([count('first'), needing(() => isReady, prepare), count('last')]);
    expect(answers).toEqual(['1', 'ready', '2']);
    expect(await findMeta(store.read, 'count')).toBe('2');
    expect(await findMeta(store.read, 'half')).toBe('done');
    expect(steps.filter((step) => !step.startsWith('answer'))).toEqual([
      'run first',
      'run needing',
      'run last',
      'commit first',
      'commit last',
      'prepare',
      'run needing',
      'commit needing',
    ]);
    expect(steps.filter((step) => step.startsWith('answer'))).toHaveLength(3);
    expect(steps.indexOf('answer needing')).toBeGreaterThan(steps.indexOf('commit needing'));
  });

  it('that takes long delays nobody else, of either lane, and keeps the order of all others', async () => {
    const ready = gate();
    let isReady = false;
    const waiting = needing(
      () => isReady,
      async () => {
        await ready.passed;
        isReady = true;
      },
    );
    const names = Array.from({ length: 120 }, (_, index) => `write ${index}`);
    const counted = await Promise.all(names.map((name) => count(name)));
    expect(counted).toEqual(names.map((_, index) => String(index + 1)));
    expect(await count('urgent', 'emergency')).toBe('121');
    expect(await count('again')).toBe('122');
    expect(steps).not.toContain('answer needing');
    ready.open();
    expect(await waiting).toBe('ready');
    expect(steps.filter((step) => step === 'run needing')).toHaveLength(2);
  });

  it('goes before those of its lane that wait, once it is prepared', async () => {
    const [ready, held] = [gate(), gate()];
    let isReady = false;
    const prepared = gate();
    const waiting = needing(
      () => isReady,
      async () => {
        await ready.passed;
        isReady = true;
        prepared.open();
      },
    );
    await count('before');
    // Holds the transaction, so that others queue up behind it.
    const holding = store.writer.write(() => held.passed);
    await new Promise((resolve) => setImmediate(resolve));
    const after = [count('after'), count('urgent', 'emergency')];
    ready.open();
    await prepared.passed;
    await new Promise((resolve) => setImmediate(resolve));
    held.open();
    await Promise.all([holding, waiting, ...after]);
    expect(steps.filter((step) => step.startsWith('run')).slice(-3)).toEqual([
      'run urgent',
      'run needing',
      'run after',
    ]);
  });

  it('shares one preparation with those that need the same, and each is written once, in their order', async () => {
    const ready = gate();
    let isReady = false;
    let prepared = 0;
    const order: number[] = [];
    const writes = Array.from({ length: 10 }, (_, index) =>
      store.writer.write(async (tx) => {
        if (!isReady) {
          throw new RunAgain('the same', async () => {
            prepared += 1;
            await ready.passed;
            isReady = true;
          });
        }
        order.push(index);
        const before = Number((await findMeta(tx, 'written')) ?? 0);
        await setMeta(tx, 'written', String(before + 1));
      }),
    );
    await count('other');
    ready.open();
    await Promise.all(writes);
    expect(prepared).toBe(1);
    expect(order).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(await findMeta(store.read, 'written')).toBe('10');
  });

  it('waits for its turn if two others are prepared, unless no write can do without it', async () => {
    const ready = gate();
    const begun: string[] = [];
    const write = (what: string, isForAll: boolean) => {
      let isReady = false;
      return store.writer.write(async () => {
        if (isReady) return what;
        throw new RunAgain(
          what,
          async () => {
            begun.push(what);
            if (!isForAll) await ready.passed;
            isReady = true;
          },
          { isForAll },
        );
      });
    };
    const writes = ['one', 'two', 'three'].map((what) => write(what, false));
    await count('other');
    expect(await write('everybody', true)).toBe('everybody');
    expect(begun).toEqual(['one', 'two', 'everybody']);
    ready.open();
    expect(await Promise.all(writes)).toEqual(['one', 'two', 'three']);
    expect(begun).toEqual(['one', 'two', 'everybody', 'three']);
  });

  it('is refused, and only it, if too many wait; what was begun is finished', async () => {
    const ready = gate();
    const done = new Set<string>();
    const write = (what: string, isForAll = false, lane: Lane = 'ordinary') =>
      store.writer.write(async () => {
        // Two preparations each.
        const missing = [`${what} first`, `${what} second`].find((part) => !done.has(part));
        if (missing === undefined) return what;
        throw new RunAgain(missing, () => ready.passed.then(() => done.add(missing)), { isForAll });
      }, lane);
    const names = Array.from({ length: 40 }, (_, index) => `what ${index}`);
    const refused: number[] = [];
    const writes = names.map((what, index) =>
      write(what).catch((error: unknown) => {
        expect(error).toMatchObject({ code: 'overloaded', fields: { headers: { 'Retry-After': '10' } } });
        refused.push(index);
        return 'refused';
      }),
    );
    expect(await count('other')).toBe('1');
    expect(refused).toEqual([32, 33, 34, 35, 36, 37, 38, 39]);
    const others = [write('everybody', true), write('urgent', false, 'emergency')];
    await count('other');
    ready.open();
    expect(await Promise.all(writes)).toEqual(
      names.map((what, index) => (refused.includes(index) ? 'refused' : what)),
    );
    expect(await Promise.all(others)).toEqual(['everybody', 'urgent']);
    // Its place is free again.
    expect(await write('later')).toBe('later');
  });

  it('finishes what was begun before it begins another', async () => {
    const order: string[] = [];
    const done = new Set<string>();
    const names = Array.from({ length: 6 }, (_, index) => `what ${index}`);
    const writes = names.map((what) =>
      store.writer.write(async () => {
        const missing = [`${what} first`, `${what} second`].find((part) => !done.has(part));
        if (missing === undefined) return;
        throw new RunAgain(missing, async () => {
          order.push(missing);
          await new Promise((resolve) => setImmediate(resolve));
          done.add(missing);
        });
      }),
    );
    await Promise.all(writes);
    const started = names.map((what) => order.indexOf(`${what} first`));
    const finished = names.map((what) => order.indexOf(`${what} second`));
    // At most a few are between their first and their second preparation at any time.
    for (const at of order.keys()) {
      const between = names.filter((_, name) => (started[name] ?? 0) <= at && (finished[name] ?? 0) > at);
      expect(between.length).toBeLessThanOrEqual(4);
    }
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
    expect(steps.filter((step) => step === 'run needing').length).toBeLessThanOrEqual(9);
    expect(await findMeta(store.read, 'half')).toBeNull();
    expect(await count('later')).toBe('3');
  });

  it('is refused at a stop, and what it needed is not waited for', async () => {
    const never = gate();
    const waiting = needing(
      () => false,
      () => never.passed,
    );
    await count('other');
    const queued = [
      needing(
        () => false,
        () => never.passed,
        'new',
      ),
      count('last'),
    ];
    const refused = expect(Promise.allSettled([waiting, ...queued])).resolves.toMatchObject([
      { reason: { code: 'shutting_down' } },
      { reason: { code: 'shutting_down' } },
      { value: '2' },
    ]);
    await store.writer.close();
    await refused;
    expect(await findMeta(store.read, 'half')).toBeNull();
    // A preparation that ends later changes nothing.
    never.open();
    await new Promise((resolve) => setImmediate(resolve));
    expect(steps.filter((step) => step === 'run needing')).toHaveLength(2);
  });

  it('is refused when another process has taken over', async () => {
    const never = gate();
    const waiting = needing(
      () => false,
      () => never.passed,
    );
    await count('other');
    const refused = expect(waiting).rejects.toMatchObject({ code: 'not_recorded' });
    await place.moveFence();
    await expect(count('late')).rejects.toMatchObject({ code: 'not_recorded' });
    await refused;
  });

  it('was never there for who starts after a crash, while all others are', async () => {
    await store.close();
    const child = spawn(process.execPath, [CRASH_CHILD, place.database], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [said] = (await once(child.stdout, 'data')) as [Buffer];
    expect(String(said)).toBe('acknowledged\n');
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
    const after = await openStore({ file: place.database, clock: systemClock });
    expect(await Promise.all(['before', 'half', 'after'].map((key) => findMeta(after.read, key)))).toEqual([
      'x',
      null,
      'x',
    ]);
    await after.close();
  });
});
