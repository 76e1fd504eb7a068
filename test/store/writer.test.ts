import { Kysely, SqliteDialect } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { BrokerError } from '../../src/errors.ts';
import { takePlace } from '../../src/store/batch.ts';
import { openStore } from '../../src/store/database.ts';
import { sqliteTransactions } from '../../src/store/durable-transaction.ts';
import { findMeta, setMeta } from '../../src/store/installation.ts';
import type { WriteLane } from '../../src/store/preparations.ts';
import type { Schema } from '../../src/store/schema.ts';
import type { Db } from '../../src/store/statement.ts';
import type { Store } from '../../src/store/store.ts';
import { createWriter } from '../../src/store/writer.ts';
import { createPlace, type Place } from '../support/place.ts';

let place: Place;
let store: Store;

beforeEach(async () => {
  place = await createPlace();
  store = await openStore({ file: place.database, clock: systemClock });
});

afterEach(async () => {
  await store.close();
  await place.remove();
});

/**
 * The order in which writes run that wait together.
 *
 * @param waiting their names, by lane
 * @param arrivals the lanes of others, by the name of the write during which they arrive
 */
async function orderOf(
  waiting: Partial<Record<WriteLane, readonly string[]>>,
  arrivals: ReadonlyMap<string, WriteLane> = new Map(),
): Promise<string[]> {
  const order: string[] = [];
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const writes = [store.writer.write(() => released)];
  const note = (name: string, lane: WriteLane) =>
    writes.push(
      store.writer.write(async (tx) => {
        await setMeta(tx, name, 'x');
        order.push(name);
        const arriving = arrivals.get(name);
        if (arriving !== undefined) note(`${arriving} during ${name}`, arriving);
      }, lane),
    );
  // The batch of the held write is begun alone.
  await new Promise((resolve) => setImmediate(resolve));
  for (const [lane, names] of Object.entries(waiting))
    for (const name of names) note(name, lane as WriteLane);
  release();
  // Those that arrive meanwhile add themselves.
  for (let place = 0; place < writes.length; place += 1) await writes[place];
  return order;
}

const set = (key: string, value = 'x') => store.writer.write((tx) => setMeta(tx, key, value));

describe('a write', () => {
  it('is visible to readers once it is answered, and not before', async () => {
    let seen: string | null = 'nothing';
    await store.writer.write(async (tx) => {
      await setMeta(tx, 'k', 'v');
      seen = await findMeta(store.read, 'k');
    });
    expect(seen).toBeNull();
    expect(await findMeta(store.read, 'k')).toBe('v');
  });

  it('sees what those before it in the batch did, in the order in which they came', async () => {
    const seen = await Promise.all(
      Array.from({ length: 200 }, (_, turn) =>
        store.writer.write(async (tx) => {
          const before = Number((await findMeta(tx, 'counter')) ?? 0);
          await setMeta(tx, 'counter', String(before + 1));
          return [turn, before];
        }),
      ),
    );
    expect(seen).toEqual(seen.map((_, turn) => [turn, turn]));
    expect(await findMeta(store.read, 'counter')).toBe('200');
  });

  it('of an emergency goes before every ordinary write that waits, and ordinary writes still go on', async () => {
    const ordinary = Array.from({ length: 120 }, (_, place) => `ordinary ${place}`);
    const emergencies = Array.from({ length: 120 }, (_, place) => `emergency ${place}`);
    const order = await orderOf({ ordinary, emergency: emergencies });
    // In each lane in the order of the calls, one ordinary write behind each batch of emergencies.
    expect(order).toEqual([
      ...emergencies.slice(0, 49),
      ...ordinary.slice(0, 1),
      ...emergencies.slice(49, 98),
      ...ordinary.slice(1, 2),
      ...emergencies.slice(98),
      ...ordinary.slice(2),
    ]);
  });

  it('that is scheduled goes behind those that somebody waits for, a few in each batch', async () => {
    const scheduled = Array.from({ length: 80 }, (_, place) => `scheduled ${place}`);
    const ordinary = Array.from({ length: 100 }, (_, place) => `ordinary ${place}`);
    expect(await orderOf({ scheduled, ordinary, emergency: ['emergency'] })).toEqual([
      ...['emergency', 'ordinary 0', 'scheduled 0'],
      ...ordinary.slice(1, 46),
      ...scheduled.slice(1, 6),
      ...ordinary.slice(46, 91),
      ...scheduled.slice(6, 11),
      ...ordinary.slice(91),
      ...scheduled.slice(11),
    ]);
  });

  it('that arrives among hundreds that are scheduled waits for the batch in progress only', async () => {
    const scheduled = Array.from({ length: 300 }, (_, place) => `scheduled ${place}`);
    const arrivals = new Map<string, WriteLane>([
      ['scheduled 0', 'ordinary'],
      ['scheduled 60', 'emergency'],
      ['scheduled 200', 'ordinary'],
    ]);
    const order = await orderOf({ scheduled }, arrivals);
    for (const [during, lane] of arrivals) {
      const waited = order.indexOf(`${lane} during ${during}`) - order.indexOf(during);
      expect(waited, during).toBeGreaterThan(0);
      expect(waited, during).toBeLessThanOrEqual(25);
    }
    expect(order.filter((name) => scheduled.includes(name))).toEqual(scheduled);
  });

  it('that fails is undone alone: its neighbours in the batch stay', async () => {
    const outcomes = await Promise.allSettled([
      set('first'),
      store.writer.write(async (tx) => {
        await setMeta(tx, 'first', 'overwritten');
        await setMeta(tx, 'failed', 'x');
        throw new BrokerError('invalid_change', 'no');
      }),
      store.writer.write((tx) => findMeta(tx, 'first')),
      set('last'),
    ]);
    expect(outcomes.map((outcome) => outcome.status)).toEqual([
      'fulfilled',
      'rejected',
      'fulfilled',
      'fulfilled',
    ]);
    expect(outcomes[1]).toMatchObject({ reason: { code: 'invalid_change' } });
    expect(outcomes[2]).toMatchObject({ value: 'x' });
    expect(await findMeta(store.read, 'failed')).toBeNull();
    expect(await findMeta(store.read, 'last')).toBe('x');
  });

  it('that the store refuses is answered with not_recorded, and alone too', async () => {
    const outcomes = await Promise.allSettled([
      set('before'),
      store.writer.write(async (tx) => {
        await setMeta(tx, 'half', 'x');
        await tx.insertInto('meta').values({ key: 'half', value: 'again' }).execute();
      }),
      set('after'),
    ]);
    expect(outcomes[1]).toMatchObject({ status: 'rejected', reason: { code: 'not_recorded' } });
    expect(await findMeta(store.read, 'half')).toBeNull();
    expect([await findMeta(store.read, 'before'), await findMeta(store.read, 'after')]).toEqual(['x', 'x']);
  });

  it('gets its thrown error back as it was, whatever was thrown', async () => {
    for (const thrown of [new TypeError('t'), 'text', null, undefined, { code: 7 }]) {
      await expect(
        store.writer.write(() => {
          throw thrown;
        }),
      ).rejects.toBe(thrown);
    }
    await set('still-works');
  });
});

describe('a transaction of reads', () => {
  it('keeps its state while something is written, and so do reads beside it until it ends', async () => {
    await set('k', 'before');
    await store.read.transaction().execute(async (tx) => {
      expect(await findMeta(tx, 'k')).toBe('before');
      await set('k', 'after');
      expect(await findMeta(tx, 'k')).toBe('before');
    });
    expect(await findMeta(store.read, 'k')).toBe('after');
  });

  it('that fails ends like any other', async () => {
    const failing = store.read.transaction().execute(async () => {
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    await set('k', 'after');
    expect(await findMeta(store.read, 'k')).toBe('after');
  });
});

describe('what is to happen after the commit', () => {
  it('happens once the write is durable, before its answer, and not for a write that failed', async () => {
    const order: string[] = [];
    const writes = [
      store.writer.write(async (tx, afterCommit) => {
        await setMeta(tx, 'a', 'x');
        afterCommit(() => order.push('after a'));
        order.push('a');
      }),
      store.writer
        .write(async (_tx, afterCommit) => {
          afterCommit(() => order.push('after b'));
          order.push('b');
          throw new Error('no');
        })
        .catch(() => undefined),
      store.writer.write(async (_tx, afterCommit) => {
        afterCommit(() => order.push('after c'));
        order.push('c');
      }),
    ];
    await writes[0]?.then(() => order.push('answer a'));
    await Promise.all(writes);
    expect(order.filter((entry) => entry !== 'answer a')).toEqual(['a', 'b', 'c', 'after a', 'after c']);
    expect(order.indexOf('answer a')).toBeGreaterThan(order.indexOf('after a'));
  });
});

describe('a listener after the commit that fails', () => {
  it('is reported with what it threw, and stops neither the others, nor the answers, nor the queue', async () => {
    const failures: unknown[] = [];
    await store.close();
    store = await openStore({
      file: place.database,
      clock: systemClock,
      onListenerFailure: (error) => failures.push(error),
    });
    const called: string[] = [];
    const fault = new Error('the listener is broken');
    const lost = new Error('its promise too');
    const answers = await Promise.all([
      store.writer.write(async (tx, afterCommit) => {
        await setMeta(tx, 'a', 'x');
        afterCommit(() => {
          throw fault;
        });
        // biome-ignore lint/nursery/noMisusedPromises: the types let it through, and the lint may not be looked at
        afterCommit(async () => {
          throw lost;
        });
        afterCommit(() => called.push('the next one of the same write'));
        return 'first';
      }),
      store.writer.write(async (_tx, afterCommit) => {
        afterCommit(() => called.push('one of its neighbour'));
        return 'second';
      }),
    ]);
    expect(answers).toEqual(['first', 'second']);
    expect(called).toEqual(['the next one of the same write', 'one of its neighbour']);
    expect(await findMeta(store.read, 'a')).toBe('x');
    await set('later');
    expect(failures).toEqual([fault, lost]);
  });
});

describe('closing', () => {
  it('finishes what was begun, and takes nothing new', async () => {
    const begun = Array.from({ length: 150 }, (_, turn) => set(`k${turn}`));
    const closed = store.writer.close();
    await expect(set('late')).rejects.toMatchObject({
      code: 'shutting_down',
      fields: { headers: { 'Retry-After': '5' } },
    });
    await closed;
    expect((await Promise.allSettled(begun)).every((outcome) => outcome.status === 'fulfilled')).toBe(true);
    expect(await findMeta(store.read, 'k149')).toBe('x');
  });

  it('twice is the same as once', async () => {
    await Promise.all([store.writer.close(), store.writer.close()]);
    await expect(set('late')).rejects.toMatchObject({ code: 'shutting_down' });
  });
});

describe('a commit whose outcome is unknown', () => {
  /** The statements of a writer over a disk that fails at the commit with that number. */
  function failingAt(failure: number, code: string): { db: Db; executed: string[] } {
    const executed: string[] = [];
    let commits = 0;
    const execute = (sql: string) => {
      executed.push(sql);
      if (sql === 'commit') commits += 1;
      if (sql === 'commit' && commits === failure) throw Object.assign(new Error('disk'), { code });
    };
    const database = {
      prepare: (sql: string) => ({
        reader: sql.startsWith('select'),
        all: () => [{ fence: 1, size: 0, last_ms: 0 }],
        run: () => {
          execute(sql);
          return { changes: 0, lastInsertRowid: 0 };
        },
      }),
      close: () => undefined,
    };
    const db = new Kysely<Schema>({ dialect: new SqliteDialect({ database: database as never }) });
    return { db, executed };
  }

  const others = {
    clock: systemClock,
    fence: 1,
    seal: async () => () => undefined,
    transactions: sqliteTransactions({
      reads: { hold: () => undefined, release: () => undefined },
      sync: async () => undefined,
    }),
  };

  it('stops writes and not the process, and not even what was waiting is begun', async () => {
    const { db, executed } = failingAt(1, 'SQLITE_IOERR_FSYNC');
    const failures: unknown[] = [];
    const writer = createWriter({
      ...others,
      db,
      onFailure: (error) => failures.push(error),
      onListenerFailure: () => expect.unreachable(),
    });
    const waiting = Array.from({ length: 100 }, () => writer.write(async () => 'done'));
    const outcomes = await Promise.allSettled(waiting);
    const codes = outcomes.map((outcome) => (outcome as PromiseRejectedResult).reason.code);
    // Only those of the failed commit may be on disk; those that waited were not begun.
    expect(codes).toEqual([...Array(50).fill('outcome_unknown'), ...Array(50).fill('store_unwritable')]);
    await expect(writer.write(async () => 'later')).rejects.toMatchObject({ code: 'store_unwritable' });
    expect(writer.refusal()).toMatchObject({ code: 'store_unwritable' });
    expect(failures).toHaveLength(1);
    expect(executed.filter((sql) => sql === 'begin immediate')).toHaveLength(1);
  });

  it('is not that of a commit that could only not be noted beside the database: the next write notes it first', async () => {
    const { db, executed } = failingAt(0, '');
    let isFailing = true;
    let notes = 0;
    const failures: unknown[] = [];
    const writer = createWriter({
      ...others,
      db,
      seal: async () => () => {
        if (isFailing) throw new Error('the disk beside is full');
        notes += 1;
      },
      onFailure: () => expect.unreachable(),
      onListenerFailure: (error) => failures.push(error),
    });
    const record = () => writer.write(async (tx) => takePlace(tx, 1));
    expect(await record()).toBe(1);
    expect(failures).toHaveLength(1);
    await expect(record()).rejects.toMatchObject({ code: 'not_recorded' });
    expect(executed.filter((sql) => sql === 'commit')).toHaveLength(1);
    isFailing = false;
    expect(await record()).toBe(1);
    expect(notes).toBe(2);
  });

  it('is one whose synchronization failed: what was committed is held back from reads for good', async () => {
    const { db } = failingAt(0, '');
    const order: string[] = [];
    const writer = createWriter({
      ...others,
      db,
      transactions: sqliteTransactions({
        reads: { hold: () => order.push('hold'), release: () => order.push('release') },
        sync: async () => {
          order.push('sync');
          if (order.length > 5) throw Object.assign(new Error('disk'), { code: 'ENOSPC' });
        },
      }),
      onFailure: () => order.push('failure'),
      onListenerFailure: () => expect.unreachable(),
    });
    await writer.write(async (_tx, afterCommit) => {
      afterCommit(() => order.push('listener'));
    });
    await expect(
      writer.write(async (_tx, afterCommit) => {
        afterCommit(() => order.push('listener'));
      }),
    ).rejects.toMatchObject({ code: 'outcome_unknown' });
    await expect(writer.write(async () => 'later')).rejects.toMatchObject({ code: 'store_unwritable' });
    expect(order).toEqual(['hold', 'sync', 'release', 'listener', 'hold', 'sync', 'failure']);
  });

  it('is not assumed when the disk is only full: the next write is tried', async () => {
    const { db } = failingAt(1, 'SQLITE_FULL');
    const writer = createWriter({
      ...others,
      db,
      onFailure: () => expect.unreachable(),
      onListenerFailure: () => expect.unreachable(),
    });
    await expect(writer.write(async () => 'first')).rejects.toMatchObject({ code: 'not_recorded' });
    expect(await writer.write(async () => 'second')).toBe('second');
  });
});
