import { generateKeyPairSync } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import { append } from '../../../src/log/append.ts';
import { createCheckpoints } from '../../../src/log/checkpoints.ts';
import { openStore } from '../../../src/store/database.ts';
import { findMeta, setMeta } from '../../../src/store/installation.ts';
import { readHead } from '../../../src/store/log-head.ts';
import { watchOthers } from '../../../src/store/postgres/others.ts';
import { insertRequest, updateRequest } from '../../../src/store/requests.ts';
import type { Store } from '../../../src/store/store.ts';
import { TakeoverError } from '../../../src/store/write-faults.ts';
import { noteSigner } from '../../../src/tree/note.ts';
import { appendTo, entryOf, undecidedEntry } from '../../support/entries.ts';
import { openOwn } from '../../support/own-store.ts';
import { createDatabase, type TestDatabase } from '../../support/postgres.ts';
import { type PostgresProxy, startProxy } from '../../support/postgres-proxy.ts';
import { hasPostgres } from '../../support/postgres-server.ts';
import { requestRow } from '../../support/request-row.ts';

const SOON = { timeout: 10_000 };

describe.skipIf(!hasPostgres('faults of a PostgreSQL server'))('a PostgreSQL server', () => {
  let database: TestDatabase;
  let proxy: PostgresProxy;
  let store: Store;
  let failures: unknown[];

  const open = (address: string) =>
    openStore({ file: address, clock: systemClock, onFailure: (error) => failures.push(error) });
  const set = (key: string, value = 'x') => store.writer.write((tx) => setMeta(tx, key, value));
  /** Adds one to a counter: what is written twice, or not at all, shows. */
  const count = (told: number[] = []) =>
    store.writer.write(async (tx, afterCommit) => {
      const next = Number((await findMeta(tx, 'counter')) ?? 0) + 1;
      await setMeta(tx, 'counter', String(next));
      afterCommit(() => told.push(next));
      return next;
    });

  beforeEach(async () => {
    failures = [];
    database = await createDatabase();
    proxy = await startProxy(database.address);
    store = await open(proxy.address);
  });

  afterEach(async () => {
    proxy.open();
    await store.close();
    await proxy.close();
    await database.remove();
  });

  describe('whose connection is lost at a commit', () => {
    it('did not get it: the write is undone, and said to be', async () => {
      const told: number[] = [];
      await count(told);
      proxy.cutNextCommit('before');
      await expect(count(told)).rejects.toMatchObject({ code: 'not_recorded' });
      expect(await count(told)).toBe(2);
      expect(told).toEqual([1, 2]);
      expect(failures).toEqual([]);
    });

    it.each(['during', 'after', 'panic'] as const)(
      '%s it: the answer is what the database has',
      async (cut) => {
        const told: number[] = [];
        await count(told);
        proxy.cutNextCommit(cut);
        const outcome = await count(told).catch((error: { code?: string }) => error.code);
        const kept = Number(await findMeta(store.read, 'counter'));
        expect(outcome).toBe(kept === 2 ? 2 : 'not_recorded');
        if (cut !== 'during') expect(kept).toBe(2);
        expect(await count(told)).toBe(kept + 1);
        // Listeners follow what was committed, once each, in its order.
        expect(told).toEqual(Array.from({ length: kept + 1 }, (_, place) => place + 1));
        expect(failures).toEqual([]);
      },
    );

    it('and which nobody can ask: callers are told so, and its listeners run once it is known', async () => {
      const told: number[] = [];
      proxy.shutAtNextCommit('after');
      await expect(count(told)).rejects.toMatchObject({
        code: 'outcome_unknown',
        fields: { headers: { 'Retry-After': '30' } },
      });
      await expect(count(told)).rejects.toMatchObject({ code: 'not_recorded' });
      expect(told).toEqual([]);
      proxy.open();
      await expect.poll(() => told, { timeout: 20_000 }).toEqual([1]);
      expect(await count(told)).toBe(2);
      expect(failures).toEqual([]);
    }, 90_000);
  });

  it('keeps no note of writers that have ended, and none that still ask are forgotten', async () => {
    const noted = async () =>
      (await database.run('select writer from writers')).map(({ writer }) => String(writer)).sort();
    await count();
    const [own = ''] = await noted();
    const another = await open(database.address);
    expect(await noted()).toHaveLength(2);
    await another.close();
    expect(await noted()).toEqual([own]);
    // One that was killed, and one that has been stopped for as long.
    await database.run("insert into writers values ('00000000-0000-4000-8000-000000000000', 7, 0)");
    const WEEK_MS = 7 * 86_400_000;
    let nowMs = systemClock();
    const openLater = async () => {
      nowMs += WEEK_MS + 1;
      await (await openStore({ file: database.address, clock: () => nowMs })).close();
    };
    await openLater();
    expect(await noted()).toHaveLength(2);
    await count();
    await openLater();
    expect(await noted()).toEqual([own]);
    await openLater();
    expect(await noted()).toEqual([]);
    // It writes, as before, and takes nothing for undone of which there is no note.
    expect(await count()).toBe(3);
    await database.run('delete from writers');
    proxy.cutNextCommit('before');
    await expect(count()).rejects.toMatchObject({ code: 'outcome_unknown' });
    expect(failures).toEqual([expect.any(TakeoverError)]);
    await expect(count()).rejects.toMatchObject({ code: 'not_recorded' });
  });

  it('that ends every connection is connected to again', async () => {
    await set('before');
    await database.run(
      'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
    );
    await expect
      .poll(
        () =>
          set('after').then(
            () => 'written',
            () => 'refused',
          ),
        { timeout: 10_000 },
      )
      .toBe('written');
    expect(await findMeta(store.read, 'before')).toBe('x');
  });

  it('undoes alone a write with a text that it cannot hold', async () => {
    const outcomes = await Promise.allSettled([set('first'), set('nul', 'a\0b'), set('last')]);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(outcomes[1]).toMatchObject({ reason: { code: 'not_recorded' } });
  });

  it('undoes alone a write that ends with what it cannot hold, and does not wait for', async () => {
    const row = requestRow('r');
    await store.writer.write((tx) => insertRequest(tx, row, { flags: [], namespaces: [] }));
    const spoil = store.writer.write(async (tx) => {
      await setMeta(tx, 'spoilt', 'x');
      await updateRequest(tx, { ...row, revision: 2, digest: 'a\0b' });
    });
    const outcomes = await Promise.allSettled([set('before'), spoil, set('after'), set('last')]);
    expect(outcomes.map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
      ...['fulfilled', 'fulfilled'],
    ]);
    expect(outcomes[1]).toMatchObject({ reason: { code: 'not_recorded' } });
    const found = ['before', 'spoilt', 'after', 'last'].map((key) => findMeta(store.read, key));
    expect(await Promise.all(found)).toEqual(['x', null, 'x', 'x']);
    expect(failures).toEqual([]);
  });

  it('undoes alone a write whose fault arrives as the next one begins', async () => {
    // The thread is kept for a while, which the proxy would need.
    const own = await open(database.address);
    try {
      const row = requestRow('r');
      await own.writer.write((tx) => insertRequest(tx, row, { flags: [], namespaces: [] }));
      const spoil = own.writer.write(async (tx) => {
        // From here, the next turn begins with what has arrived.
        await setImmediate();
        await updateRequest(tx, { ...row, revision: 2, digest: 'a\0b' });
        const fromMs = performance.now();
        while (performance.now() - fromMs < 100);
      });
      const others = ['after', 'last'].map((key) => own.writer.write((tx) => setMeta(tx, key, 'x')));
      const outcomes = await Promise.allSettled([spoil, ...others]);
      expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled']);
      expect(outcomes[0]).toMatchObject({ reason: { code: 'not_recorded' } });
      expect(await findMeta(own.read, 'last')).toBe('x');
      expect(failures).toEqual([]);
    } finally {
      await own.close();
    }
  });

  it('whose lock another holds for ever refuses writes alone, and goes on by itself', async () => {
    await set('before');
    const release = await database.hold('select 1 from log_head for update');
    await expect(set('late')).rejects.toMatchObject({
      code: 'database_in_use',
      fields: { headers: { 'Retry-After': '5' } },
    });
    expect(await findMeta(store.read, 'before')).toBe('x');
    // An act of an operator does not wait for ever either.
    await expect(
      openStore({ file: database.address, clock: systemClock, exclusive: true }),
    ).rejects.toMatchObject({ code: 'database_in_use' });
    // As docs/postgresql.md says.
    const holders = await database.run(`select pid, state from pg_stat_activity
      where pid in (select pid from pg_locks where relation = 'log_head'::regclass)`);
    expect(holders).toMatchObject([{ state: 'idle in transaction' }]);
    await database.run(`select pg_terminate_backend(${holders[0]?.pid})`);
    await release();
    await set('later');
    expect([await findMeta(store.read, 'late'), await findMeta(store.read, 'later')]).toEqual([null, 'x']);
    expect(failures).toEqual([]);
  }, 30_000);

  it('lets all brokers write, and ends those that were open before an act of an operator', async () => {
    const second = await open(database.address);
    await set('k', 'first');
    await second.writer.write((tx) => setMeta(tx, 'k', 'second'));
    await set('k', 'third');
    expect(await findMeta(second.read, 'k')).toBe('third');
    expect(failures).toEqual([]);
    const act = await openStore({ file: database.address, clock: systemClock, exclusive: true });
    await act.writer.write((tx) => setMeta(tx, 'k', 'act'));
    await act.close();
    expect(await store.writeRefusal()).toMatchObject({ code: 'not_recorded' });
    await expect(set('k', 'late')).rejects.toMatchObject({ code: 'not_recorded' });
    await expect(second.writer.write((tx) => setMeta(tx, 'k', 'late'))).rejects.toMatchObject({
      code: 'not_recorded',
    });
    expect(failures).toEqual([expect.any(TakeoverError), expect.any(TakeoverError)]);
    expect(await findMeta(second.read, 'k')).toBe('act');
    await second.close();
    const third = await open(database.address);
    await third.writer.write((tx) => setMeta(tx, 'k', 'third'));
    expect(await third.writeRefusal()).toBeNull();
    await third.close();
  });

  it('is watched for what others write, also while nobody listens, and a look that failed is repeated', async () => {
    const seen: (string | null)[] = [];
    const faults: unknown[] = [];
    let toFail = 2;
    const look = async () => {
      toFail -= 1;
      if (toFail >= 0) throw new Error('a look failed');
      seen.push(await findMeta(store.read, 'k'));
    };
    store.follow(look, (error) => faults.push(error));
    await expect.poll(() => seen, SOON).toEqual([null]);
    expect(faults).toEqual([new Error('a look failed')]);
    const listening =
      "from pg_stat_activity where datname = current_database() and query = 'listen countersign_commits'";
    const isHeard = async () => (await database.run(`select pid ${listening}`)).length;
    await expect.poll(isHeard, SOON).toBe(1);
    await database.run(`select pg_terminate_backend(pid) ${listening}`);
    const second = await open(database.address);
    await second.writer.write(async (tx) => {
      await setMeta(tx, 'k', 'of another');
      await append(tx, entryOf(tx));
    });
    await expect.poll(() => seen.at(-1), SOON).toBe('of another');
    await expect.poll(isHeard, SOON).toBe(1);
    await second.close();
  });

  it('that is silent to whoever listens does not keep a broker from its end', async () => {
    const second = await open(database.address);
    const kept = proxy.keepBack('pg_is_in_recovery');
    const others = watchOthers({
      address: proxy.address,
      writer: 'w',
      read: second.read,
      look: async () => undefined,
      onFault: () => undefined,
    });
    await expect.poll(kept, SOON).toBe(1);
    await others.stop();
    await second.close();
  });

  it('ends a broker that was opening while the fence was raised', async () => {
    const client = new Client({ connectionString: database.address });
    await client.connect();
    await client.query('begin; lock table meta in access exclusive mode');
    const opening = open(database.address);
    const waiting =
      "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    await expect.poll(() => database.run(waiting), SOON).not.toEqual([]);
    await client.query('update log_head set fence = fence + 1; commit');
    await client.end();
    const opened = await opening;
    await expect(opened.writer.write((tx) => setMeta(tx, 'k', 'late'))).rejects.toMatchObject({
      code: 'not_recorded',
    });
    await opened.close();
  });

  it('undoes what a process wrote that is stopped between the lock and the commit, and wakes after another wrote', async () => {
    const other = await openOwn(database.address);
    expect(other.opened).toBe('opened');
    expect(await other.ask('write')).toBe('written 1');
    const stopped = other.ask('stop');
    const isStopped = async () =>
      (await database.run("select 1 from pg_stat_activity where state = 'idle in transaction'")).length > 0;
    await expect.poll(isStopped).toBe(true);
    // The server ends a session that holds the lock and does nothing.
    const write = () => appendTo(store).catch((error: { code?: string }) => error.code);
    expect(await write()).toBe('database_in_use');
    await expect.poll(write, { timeout: 20_000 }).toBe(2);
    process.kill(other.pid, 'SIGCONT');
    expect(await stopped).toMatch(/^not_recorded/);
    expect(await other.ask('write')).toBe('written 3');
    expect(await other.ask('close')).toBe('closed');
    expect(await other.end()).toBe(0);
    expect(await database.run('select count(*)::int as leaves from leaves')).toEqual([{ leaves: 3 }]);
  }, 60_000);

  it('shows nothing of the log of a server that is gone: what it alone had is not signed', async () => {
    await appendTo(store);
    // As its standby had it when the primary was lost, which had a record more.
    const gone = await (await database.dump())();
    const former = await open(gone.address);
    await appendTo(former);
    const { privateKey } = generateKeyPairSync('ed25519');
    const sign = (read: Store['read']) =>
      createCheckpoints({
        store: { ...store, read },
        signers: async () => [noteSigner('log.example', privateKey)],
        clock: systemClock,
        onUnkept: () => undefined,
      }).latest();
    const refused = { code: 'store_unreachable', message: expect.stringContaining('another server answers') };
    await expect(sign(former.read)).rejects.toMatchObject(refused);
    expect((await sign(store.read)).size).toBe(1);
    // The log that goes on becomes as long, and longer.
    for (const size of [2, 3]) {
      await appendTo(store);
      await expect(sign(former.read)).rejects.toMatchObject(refused);
      expect((await sign(store.read)).size).toBe(size);
    }
    const head = await readHead(store.read);
    await appendTo(store);
    await store.settle(head);
    await expect(store.settle({ ...head, epoch: head.epoch + 1 })).rejects.toMatchObject(refused);
    await former.close();
    await gone.remove();
  });

  it('refuses writes on a connection for reads', async () => {
    await expect(setMeta(store.read as never, 'k', 'v')).rejects.toThrow('does not write');
  });
});

describe.skipIf(!hasPostgres('the evidence on PostgreSQL'))('the evidence on PostgreSQL', () => {
  it('cannot be changed, deleted or emptied, nor a place be left out', async () => {
    const database = await createDatabase();
    await (await openStore({ file: database.address, clock: systemClock })).close();
    await database.run("insert into leaves values (1, 1, '{}')");
    for (const statement of [
      "update leaves set leaf = 'x'",
      'delete from leaves',
      'truncate leaves',
      "insert into leaves values (3, 1, '{}')",
      "insert into leaves values (1, 1, '{}')",
    ]) {
      await expect(database.run(statement), statement).rejects.toThrow(/append-only|duplicate key/);
    }
    expect(await database.run('select place, leaf from leaves')).toEqual([{ place: '1', leaf: '{}' }]);
    await database.remove();
  });

  it('may be erased only where the log has a record of it', async () => {
    const database = await createDatabase();
    await (await openStore({ file: database.address, clock: systemClock })).close();
    await database.run("insert into pseudonyms values ('person', 'erika', 'p1'), ('person', 'max', 'p2')");
    await database.run(`insert into leaves values (1, 1, '{"erases":null}')`);
    const erase = (pseudonym: string, place: number) =>
      database.run(`insert into erasures values (null, '${pseudonym}', ${place});
        delete from pseudonyms where pseudonym = '${pseudonym}'`);
    await expect(database.run("delete from pseudonyms where name = 'max'")).rejects.toThrow('append-only');
    await expect(erase('p1', 2)).rejects.toThrow('no record at place 2 erases this');
    await expect(erase('p1', 1)).rejects.toThrow('no record at place 1 erases this');
    const leaf = JSON.stringify({ erases: { places: [7], pseudonyms: ['p1'] } });
    await database.run(`insert into leaves values (2, 1, '${leaf}')`);
    await expect(erase('p2', 2)).rejects.toThrow('erases this');
    for (const rows of ['(8, null, 2)', '(7, null, 2), (8, null, 2)', "(7, 'p2', 2)", '(null, null, 2)'])
      await expect(database.run(`insert into erasures values ${rows}`), rows).rejects.toThrow('erases this');
    // The record has to be there before.
    await expect(
      database.run(`insert into erasures values (9, null, 3);
        insert into leaves values (3, 1, '${leaf.replace('7', '9')}')`),
    ).rejects.toThrow('no record at place 3 erases this');
    await database.run('insert into erasures values (7, null, 2)');
    await erase('p1', 2);
    expect(await database.run('select name from pseudonyms')).toEqual([{ name: 'max' }]);
    // A record that was too large says how many, and no more.
    const short = JSON.stringify({ erases: { places: { count: 1, digest: 'x' }, pseudonyms: [] } });
    await database.run(
      `insert into leaves values (3, 1, '${short}'); insert into erasures values (8, null, 3)`,
    );
    await expect(erase('p2', 3)).rejects.toThrow('erases this');
    await database.remove();
  });

  it('is erased within the time of a statement, however much a record can name', async () => {
    const database = await createDatabase();
    const store = await openStore({ file: database.address, clock: systemClock });
    const places = Array.from({ length: 9000 }, (_, at) => at + 2);
    await store.writer.write(async (tx) => {
      const entry = await undecidedEntry(tx);
      await append(tx, { ...entry, erases: { places, pseudonyms: [] } });
    });
    const [leaf] = await database.run('select leaf from leaves');
    expect(JSON.parse(String(leaf?.leaf)).erases.places).toEqual(places);
    expect(await database.run('select count(*)::int as count from erasures')).toEqual([{ count: 9000 }]);
    // Nor does it take long to refuse as many in one statement.
    const rows = 'select place, null, 1 from generate_series(9002, 18000) as place';
    await expect(database.run(`set statement_timeout = '10s'; insert into erasures ${rows}`)).rejects.toThrow(
      'no record at place 1 erases this',
    );
    await store.close();
    await database.remove();
  });
});

describe.skipIf(!hasPostgres('opening a database on PostgreSQL'))('opening', () => {
  let database: TestDatabase;
  const open = (address = database.address) => openStore({ file: address, clock: systemClock });

  beforeEach(async () => {
    database = await createDatabase();
  });

  afterEach(() => database.remove());

  it('at once by two brokers creates one schema, and both write', async () => {
    const stores = await Promise.all([open(), open()]);
    const outcomes = await Promise.allSettled(
      stores.map(({ writer }) => writer.write((tx) => setMeta(tx, 'k', 'v'))),
    );
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'fulfilled']);
    await Promise.all(stores.map((store) => store.close()));
  });

  it('says that a schema is of a newer version, and changes nothing', async () => {
    await (await open()).close();
    await database.run("insert into kysely_migration values ('9999_future', 'now')");
    const head = await database.run('select * from log_head');
    await expect(open()).rejects.toThrow(/is newer than this broker/);
    expect(await database.run('select * from log_head')).toEqual(head);
  });

  it('of a database that does not exist names it, and no password', async () => {
    const address = database.address
      .replace(/\/test_\w+$/, '/nowhere')
      .replace('postgres@', 'postgres:secret-x@');
    const error = await open(address).catch((caught: Error) => caught);
    expect(String(error)).toMatch(/could not open the database postgres:.*nowhere.*does not exist/);
    expect(String(error)).not.toContain('secret-x');
  });

  it('of a server that nobody runs says so', async () => {
    await expect(open('postgres://postgres@127.0.0.1:1/x')).rejects.toThrow(
      'could not open the database postgres://127.0.0.1:1/x: the database server does not answer',
    );
  });
});
