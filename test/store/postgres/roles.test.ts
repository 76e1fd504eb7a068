import { type Kysely, sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import { erase } from '../../../src/log/erase.ts';
import { newId } from '../../../src/random.ts';
import { moveInputs } from '../../../src/retention/archive-inputs.ts';
import { deleteOldEvaluations } from '../../../src/retention/delete-evaluations.ts';
import { openStore } from '../../../src/store/database.ts';
import { insertEvaluations } from '../../../src/store/evaluations.ts';
import { findMeta } from '../../../src/store/installation.ts';
import { APPEND_ONLY, CHANGEABLE } from '../../../src/store/postgres/guards.ts';
import { postgresMigrations } from '../../../src/store/postgres/migrations.ts';
import { RIGHTS } from '../../../src/store/postgres/roles.ts';
import { runAlone } from '../../cli/alone.ts';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { erasureEntry } from '../../support/entries.ts';
import { applyChanges, createFlag } from '../../support/flags.ts';
import { createDatabase, runAt, type TestDatabase } from '../../support/postgres.ts';
import { hasPostgres } from '../../support/postgres-server.ts';
import { playStory } from '../../support/story.ts';

/* Two roles on one database: one owns the tables and migrates, the other is the broker's and owns nothing. */

describe.skipIf(!hasPostgres('the roles on PostgreSQL'))('on PostgreSQL', () => {
  let database: TestDatabase;
  /** The addresses of the two roles. */
  let owner: string;
  let broker: string;
  let names: { owner: string; broker: string };

  const as = (role: string) => database.address.replace('postgres@', `${role}@`);
  const migrate = (...words: string[]) => runAlone(['migrate', '--json', ...words]);
  const open = (address: string) => openStore({ file: address, clock: systemClock });

  beforeAll(async () => {
    database = await createDatabase();
    const [, name = ''] = /\/(test_\w+)$/.exec(database.address) ?? [];
    names = { owner: `${name}_owner`, broker: `${name}_broker` };
    owner = as(names.owner);
    broker = as(names.broker);
    await database.run(`create role ${names.owner} login; create role ${names.broker} login;
      alter database ${name} owner to ${names.owner}`);
  });

  afterAll(async () => {
    await database.remove();
    await database.dropRoles(names.owner, names.broker);
  });

  it('a role that owns no tables is told who creates them, by which command', async () => {
    await expect(open(broker)).rejects.toThrow(
      `has no tables yet, and the role "${names.broker}" may not change that. Run "countersign migrate --database ADDRESS --grant-to ${names.broker}"`,
    );
  });

  it('nothing is created for a role that there is not', async () => {
    const run = await migrate('--database', owner, '--grant-to', 'misspelt');
    expect(run.json).toMatchObject({ code: 'migrate_failed', detail: expect.stringContaining('no role') });
    expect(await database.run("select to_regclass('log_head') as found")).toEqual([{ found: null }]);
  });

  it('the migration role creates them, and grants what a broker needs', async () => {
    const first = await migrate('--database', owner, '--grant-to', names.broker);
    expect(first.json).toMatchObject({ granted: [names.broker], applied: [expect.any(String)] });
    expect(first.json.database).toMatch(/^postgres:\/\/[^@]+\/test_\w+$/);
    // The second time it has nothing to apply, and those who were granted something keep it.
    const second = await migrate('--database', owner);
    expect(second.json).toMatchObject({ granted: [names.broker], applied: [] });
  });

  it('every table has its rights in the list, and no other', async () => {
    const rows = await database.run(
      "select tablename as name from pg_tables where schemaname = 'public' and tablename <> 'kysely_migration_lock'",
    );
    expect(rows.map(({ name }) => name).sort()).toEqual([...RIGHTS.keys()].sort());
  });

  it.each([
    ['nobody-here', /there is no role "nobody-here" on the server: create it/],
    ['postgres', /is a superuser, so nothing could be kept from it/],
    ['OWNER', /owns the tables, .*, so nothing could be kept from it/],
  ])('rights are not granted to %s', async (role, refusal) => {
    const run = await migrate('--database', owner, '--grant-to', role === 'OWNER' ? names.owner : role);
    expect(run.code).not.toBe(0);
    expect(run.json).toMatchObject({ code: 'migrate_failed', detail: expect.stringMatching(refusal) });
  });

  it.each([
    ['the schema', 'alter schema public owner to ROLE', 'alter schema public owner to pg_database_owner'],
    ['the database', 'alter database NAME owner to ROLE', 'alter database NAME owner to OWNER'],
    ['the owner', 'grant OWNER to ROLE', 'revoke OWNER from ROLE'],
  ])('rights are not granted to a role that has %s, and migrate leaves it alone', async (_, give, take) => {
    const role = `${names.owner}_dba`;
    const fill = (text: string) =>
      text
        .replace('ROLE', role)
        .replace('OWNER', names.owner)
        .replace('NAME', names.owner.replace('_owner', ''));
    await database.run(`create role ${role}; grant update on log_head to ${role}; ${fill(give)}`);
    const run = await migrate('--database', owner, '--grant-to', role);
    expect(run.json).toMatchObject({ detail: expect.stringContaining('so nothing could be kept from it') });
    expect((await migrate('--database', owner)).json).toMatchObject({ granted: [names.broker] });
    await database.run(`${fill(take)}; revoke all on log_head from ${role}; drop role ${role}`);
  });

  it('a broker whose role lacks a right is told which, and the command that gives it', async () => {
    await runAt(owner, `revoke insert on leaves from ${names.broker}`);
    await expect(open(broker)).rejects.toThrow(/may not insert in the table leaves .*--grant-to/);
    await migrate('--database', owner);
    await (await open(broker)).close();
  });

  it('an older schema is refused by serve, which names the command that helps', async () => {
    const present = await postgresMigrations.getMigrations();
    const later = {
      up: async (db: Kysely<unknown>) => {
        await sql`create table later_things (id text)`.execute(db);
      },
    };
    const known = { ...present, '9998_later': later };
    const spy = vi.spyOn(postgresMigrations, 'getMigrations').mockResolvedValue(known);
    try {
      await expect(open(broker)).rejects.toThrow(
        `has the schema of an older version (it lacks 9998_later), and the role "${names.broker}" may not change that. Run "countersign migrate --database ADDRESS --grant-to ${names.broker}"`,
      );
      expect((await migrate('--database', owner)).json).toMatchObject({ applied: ['9998_later'] });
      await (await open(broker)).close();
    } finally {
      spy.mockRestore();
      await runAt(owner, "drop table later_things; delete from kysely_migration where name = '9998_later'");
    }
  });

  it('an address with characters that must be encoded is refused, and not shown', async () => {
    const address = owner.replace('@', ':se/cret@');
    for (const words of [['migrate'], ['store', 'copy', '--from', 'nothing.db']]) {
      const option = words[0] === 'migrate' ? '--database' : '--to';
      const run = await runAlone([...words, '--json', option, address]);
      expect(run.json.detail ?? run.err).not.toContain('cret');
    }
    expect((await migrate('--database', address)).json.detail).toMatch(/percent-encode/);
  });

  it('a newer schema is refused by serve and migrate, and nothing is changed', async () => {
    await runAt(owner, "insert into kysely_migration values ('9999_future', 'now')");
    await expect(open(broker)).rejects.toThrow(/is newer than this broker/);
    const run = await migrate('--database', owner, '--grant-to', names.broker);
    expect(run.json).toMatchObject({ detail: expect.stringMatching(/is newer than this broker/) });
    await runAt(owner, "delete from kysely_migration where name = '9999_future'");
  });

  describe('with the role of the broker', () => {
    let t: TestBroker;

    beforeAll(async () => {
      t = await startTestBroker({ config: { database: broker } });
    });
    afterAll(() => t.close());

    it('everything that people do works, an erasure too', async () => {
      const replies = await playStory(t, { seed: 20261130, steps: 120 });
      const wrong = replies.filter(({ status }) => status >= 500);
      expect(wrong.map(({ body }) => body)).toEqual([]);
      expect(replies.filter(({ status }) => status < 300).length).toBeGreaterThan(15);
      await createFlag(t, 'kept');
      await applyChanges(t, [{ action: 'enable', flag: 'kept' }]);
      await t.beforeForging();
      const name = { kind: 'person', name: 'emp-1001' } as const;
      await t.broker.store.writer.write(async (tx) =>
        erase(tx, { places: [1], names: [name] }, await erasureEntry(tx)),
      );
      expect(await runAt(owner, 'select 1 from record_details where place = 1')).toEqual([]);
      const { store } = t.broker;
      const row = { environment: 'production', workload: null, flag: null, variant: null, count: 1 };
      const insert = (place: number) =>
        store.writer.write((tx) => insertEvaluations(tx, place, [{ ...row, first_ms: 1, last_ms: 1 }]));
      await insert(1);
      const deps = { store, clock: t.clock, newId };
      const before_ms = Number.MAX_SAFE_INTEGER;
      expect(await deleteOldEvaluations(deps, { before_ms })).toMatchObject({ count: 1 });
      expect(await moveInputs(deps, { before_ms, folder: t.folder })).not.toBeNull();
      await insert(1_000_000);
      await t.broker.scheduler.tick();
      expect(await t.broker.store.writeRefusal()).toBeNull();
    }, 60_000);

    it.each(Object.entries(APPEND_ONLY))(
      'nothing of %s can be altered, emptied or changed',
      async (table, erasable) => {
        const [{ column = '' } = {}] = await runAt(
          owner,
          `select column_name as column from information_schema.columns where table_name = '${table}' limit 1`,
        );
        const before = await runAt(owner, `select count(*) from ${table}`);
        const denied = /permission denied|must be owner/;
        const attempts: [string, RegExp][] = [
          [
            `update ${table} set ${column} = ${column}`,
            CHANGEABLE[table] === undefined ? denied : /append-only/,
          ],
          // What may be erased is kept by its trigger.
          [`delete from ${table}`, erasable === null ? denied : /append-only/],
          [`truncate ${table}`, denied],
          [`drop table ${table} cascade`, denied],
          [`alter table ${table} add forged text`, denied],
          [`alter table ${table} disable trigger all`, denied],
          [`drop trigger ${table}_refuse_update on ${table}`, denied],
          [`create trigger z before insert on ${table} execute function refuse_change()`, denied],
        ];
        for (const [attempt, refusal] of attempts)
          await expect(runAt(broker, attempt), attempt).rejects.toThrow(refusal);
        expect(await runAt(owner, `select count(*) from ${table}`)).toEqual(before);
      },
    );

    it.each([
      'set session_replication_role = replica',
      'create or replace function refuse_change() returns trigger language plpgsql as $$ begin return old; end $$',
      'create table forged (place bigint)',
      'delete from log_head',
      "insert into kysely_migration values ('9999', 'now')",
      'SET ROLE',
    ])('the server refuses: %s', async (attempt) => {
      const statement = attempt === 'SET ROLE' ? `set role ${names.owner}` : attempt;
      await expect(runAt(broker, statement)).rejects.toThrow(/permission denied|must be owner/);
    });

    it.each([
      [
        'an erasure that is only claimed',
        'create temp table erasures (place bigint, pseudonym text); insert into erasures select place from record_details',
        'delete from record_details',
      ],
      [
        'an erasure that no record says',
        'insert into erasures select place, null, 2 from record_details on conflict do nothing',
        'delete from record_details',
      ],
      [
        'a log that is only claimed',
        'create temp table leaves (place bigint); insert into leaves values (1000000)',
        "insert into public.leaves values (1000001, 1, '{}')",
      ],
      [
        'another operator',
        'create function pg_temp.eq(bigint, bigint) returns boolean language sql as $$ select true $$;' +
          'create operator pg_temp.= (leftarg = bigint, rightarg = bigint, function = pg_temp.eq); set search_path = pg_temp, pg_catalog, public',
        'delete from public.record_details',
      ],
    ])('a trigger does not believe %s', async (_, claim, attempt) => {
      await expect(runAt(broker, `${claim}; ${attempt}`)).rejects.toThrow(
        /append-only|no record at place 2 erases this/,
      );
    });

    it('a broker with a changed master key is told who rewrites the tables, and migrate does it', async () => {
      await runAt(owner, "insert into meta values ('rewrite_due', '1')");
      await expect(t.restart()).rejects.toThrow(
        /secrets were sealed again.*may not do. Run "countersign migrate --database ADDRESS"/,
      );
      const file = 'select pg_relation_filenode(oid) as file from pg_class where relname = $$log_keys$$';
      const before = await runAt(owner, file);
      expect((await migrate('--database', owner)).code).toBe(0);
      expect(await runAt(owner, file)).not.toEqual(before);
      await t.restart();
    });

    it('the broker goes on afterwards', async () => {
      await createFlag(t, 'afterwards');
      expect(await findMeta(t.broker.store.read, 'written_by_version')).not.toBeNull();
    });
  });
});
