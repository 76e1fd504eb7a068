import { execFileSync, spawnSync } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { chown, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import { createCheckpoints } from '../../../src/log/checkpoints.ts';
import { openStore } from '../../../src/store/database.ts';
import { findMeta, setMeta } from '../../../src/store/installation.ts';
import { readHead } from '../../../src/store/log-head.ts';
import type { Store } from '../../../src/store/store.ts';
import { noteSigner } from '../../../src/tree/note.ts';
import { appendTo } from '../../support/entries.ts';
import { createDatabase, runAt, serverUser, type TestDatabase } from '../../support/postgres.ts';
import { type PostgresPair, startPair } from '../../support/postgres-pair.ts';
import { hasPostgres, SERVERS_FOLDER } from '../../support/postgres-server.ts';

/* What only servers of one's own can do: a standby, a password, a replication that stands still, a full disk. */

/** The commits of a batch, and of the question what became of one. */
const BATCH = '%set batch = excluded.batch%commit';
const ASKING = '%writers.asked + 1%commit';

const open = (address: string) => openStore({ file: address, clock: systemClock });

describe.skipIf(!hasPostgres('a pair of PostgreSQL servers'))('a pair of servers', () => {
  let pair: PostgresPair;
  /** The sessions that wait at a commit of that text for the standby. */
  const waiting = (text: string) =>
    pair.run(`select pid from pg_stat_activity where wait_event = 'SyncRep' and query like '${text}'`);

  beforeAll(async () => {
    pair = await startPair();
    await pair.run("create role guest login password 'right'");
    const [{ hba_file } = {}] = await pair.run('show hba_file');
    await pair.run(`copy (values ('local all guest scram-sha-256'), ('local all all trust'),
      ('local replication all trust')) to '${hba_file}'`);
    await pair.run('select pg_reload_conf()');
  });
  afterAll(() => pair.close());

  it.each([
    ['wrong', /password authentication failed for user "guest" \(28P01\): correct the user and the password/],
    ['', /asks for a password: put it into the address/],
  ])('with the password "%s" is not opened, and the error has no password', async (password, refusal) => {
    const address = pair.address.replace('postgres@', `guest:${password}@`);
    const error = await open(address).catch((caught: Error) => caught);
    expect(String(error)).toMatch(refusal);
    if (password !== '') expect(String(error)).not.toContain(`:${password}@`);
  });

  it('whose standby is named is not opened: it says which server to name', async () => {
    await expect(open(pair.standbyAddress())).rejects.toThrow(
      /is a standby, which is read-only: name the primary server/,
    );
  });

  it('whose database is set to read-only is not opened, and then opened', async () => {
    await pair.run('alter database countersign set default_transaction_read_only = on');
    await expect(open(pair.address)).rejects.toThrow(
      /read-only transaction \(25006\).*default_transaction_read_only/,
    );
    await pair.run(
      'set transaction read write; alter database countersign reset default_transaction_read_only',
    );
    await (await open(pair.address)).close();
  });

  it('acknowledges nothing that the standby has not, though the server stops waiting for it', async () => {
    const store = await open(pair.address);
    const told: number[] = [];
    const count = () =>
      store.writer.write(async (tx, afterCommit) => {
        const next = Number((await findMeta(tx, 'counter')) ?? 0) + 1;
        await setMeta(tx, 'counter', String(next));
        afterCommit(() => told.push(next));
        return next;
      });
    await count();
    await pair.run("alter system set synchronous_standby_names = 'nobody'");
    await pair.run('select pg_reload_conf()');
    const outcome = count().catch((error: { code?: string }) => error.code);
    await expect.poll(() => waiting(BATCH), { timeout: 30_000 }).toHaveLength(1);
    // The commit then succeeds, with a warning alone.
    await pair.run(`select pg_cancel_backend(${(await waiting(BATCH))[0]?.pid})`);
    // The broker asks what became of it, in a commit that waits for the standby, too.
    await expect.poll(() => waiting(ASKING), { timeout: 30_000 }).toHaveLength(1);
    expect(told).toEqual([1]);
    await pair.run("alter system set synchronous_standby_names = 'standby'");
    await pair.run('select pg_reload_conf()');
    // A machine under load may have kept its callers waiting for too long.
    expect([2, 'outcome_unknown']).toContain(await outcome);
    await expect.poll(() => told, { timeout: 30_000 }).toEqual([1, 2]);
    expect(await count()).toBe(3);
    await store.close();
  }, 90_000);

  it('signs nothing that the standby has not, though reads see it', async () => {
    const names = async (standby: string) => {
      await pair.run(`alter system set synchronous_standby_names = '${standby}'`);
      await pair.run('select pg_reload_conf()');
    };
    const cancel = async (text: string) => {
      await expect.poll(() => waiting(text), { timeout: 30_000 }).toHaveLength(1);
      await pair.run(`select pg_cancel_backend(${(await waiting(text))[0]?.pid})`);
    };
    const store = await open(pair.address);
    const { privateKey } = generateKeyPairSync('ed25519');
    const checkpoints = createCheckpoints({
      store,
      signers: async () => [noteSigner('log.example', privateKey)],
      clock: systemClock,
      onUnkept: () => undefined,
    });
    await appendTo(store);
    const before = await checkpoints.latest();
    const other = await open(pair.address);
    await names('nobody');
    const written = appendTo(other).catch((error: { code?: string }) => error.code);
    // As after a restart of the primary: nobody waits any more, and the record is there.
    await cancel(BATCH);
    const closing = other.close();
    await cancel(ASKING);
    expect(await written).toBe('outcome_unknown');
    expect((await readHead(store.read)).size).toBe(before.size + 1);
    let signed: number | null = null;
    const covering = checkpoints.covering(before.size + 1, { atOnce: true }).then(({ size }) => {
      signed = size;
    });
    await expect.poll(() => waiting(BATCH), { timeout: 15_000 }).toHaveLength(1);
    expect(signed).toBeNull();
    await names('standby');
    await covering;
    expect(signed).toBe(before.size + 1);
    await closing;
    await store.close();
  }, 90_000);
});

/** A small disk for a server, or null where this user may not have one. */
async function mountSmall(): Promise<{ path: string; remove(): Promise<void> } | null> {
  const path = await mkdtemp(join(SERVERS_FOLDER, 'countersign-small-disk-'));
  const remove = () => rm(path, { recursive: true });
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', path]).status !== 0) {
    await remove();
    process.stderr.write(
      '\nskipped: a full disk of a PostgreSQL server, because this user may not mount a small one\n\n',
    );
    return null;
  }
  const { uid, gid } = serverUser();
  if (uid !== undefined) await chown(path, uid, gid ?? uid);
  return {
    path,
    remove: async () => {
      execFileSync('umount', ['--lazy', path]);
      await remove();
    },
  };
}

const small = hasPostgres('a full disk of a PostgreSQL server') ? await mountSmall() : null;

describe.skipIf(small === null)('a server whose disk is full', () => {
  let database: TestDatabase;
  let store: Store;

  beforeEach(async () => {
    database = await createDatabase();
    const [, name = ''] = /\/(test_\w+)$/.exec(database.address) ?? [];
    const server = database.address.replace(name, 'postgres');
    await runAt(server, `create tablespace small location '${small?.path}'`);
    await runAt(server, `alter database ${name} set tablespace small`);
    store = await open(database.address);
  });
  afterEach(async () => {
    await store.close();
    const server = database.address.replace(/\/test_\w+$/, '/postgres');
    await database.remove();
    await runAt(server, 'drop tablespace small');
  });
  afterAll(() => small?.remove());

  it('undoes a write and says why, reads go on, and so do writes once there is room', async () => {
    const set = (key: string, bytes: number) =>
      store.writer.write((tx) => setMeta(tx, key, randomBytes(bytes).toString('hex')));
    await set('before', 10);
    await database.run('create table filler (text text) with (autovacuum_enabled = false)');
    const fill = (bytes: number) =>
      database.run(
        `insert into filler select string_agg(md5(random()::text), '') from generate_series(1, ${bytes / 32})`,
      );
    for (const bytes of [1 << 20, 1 << 14]) {
      for (;;)
        if (
          await fill(bytes).then(
            () => false,
            () => true,
          )
        )
          break;
    }
    await expect(set('late', 400_000)).rejects.toMatchObject({
      code: 'not_recorded',
      message: expect.stringContaining('because its disk is full'),
      fields: { headers: { 'Retry-After': '5' } },
    });
    expect(await findMeta(store.read, 'before')).not.toBeNull();
    expect(await findMeta(store.read, 'late')).toBeNull();
    await database.run('drop table filler');
    await expect.poll(() => store.writeRefusal(), { timeout: 20_000 }).toBeNull();
    await set('late', 400_000);
    expect(await findMeta(store.read, 'late')).toHaveLength(800_000);
  }, 60_000);
});
