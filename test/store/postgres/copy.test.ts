import { spawn } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import { append } from '../../../src/log/append.ts';
import { openStore } from '../../../src/store/database.ts';
import { TABLE_KEYS } from '../../../src/store/tables.ts';
import { runAlone } from '../../cli/alone.ts';
import { createTerminal } from '../../cli/support.ts';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { undecidedEntry } from '../../support/entries.ts';
import { erasePerson, withoutRetention } from '../../support/erasures.ts';
import { applyChanges, createFlag } from '../../support/flags.ts';
import { createDatabase, type TestDatabase } from '../../support/postgres.ts';
import { hasPostgres } from '../../support/postgres-server.ts';
import { MAIN, serveIn } from '../../support/serving.ts';
import { setMetaIn } from '../../support/sqlite/file.ts';
import { playStory } from '../../support/story.ts';

/* `countersign store copy`: an installation with a story in it moves from a file to a server. */

/** Reads that leave no record, so they answer the same before and after. */
const READS = [
  '/v1/flags?environment=production',
  '/v1/flags?environment=staging',
  '/v1/flags/story-a',
  '/v1/flags/story-a/versions?environment=production',
  '/v1/flags/story-c/versions?environment=production',
  '/v1/requests?limit=100',
  '/v1/freezes',
  '/v1/break-glass',
  '/v1/revocations',
  '/v1/policy/activations',
  '/v1/policy/bundles',
  '/.well-known/jwks.json',
];

describe.skipIf(!hasPostgres('moving to PostgreSQL'))('a copy on a server', () => {
  let t: TestBroker;
  let database: TestDatabase;

  const copy = (to = database.address) => runAlone(['store', 'copy', '--json', '--from', t.file, '--to', to]);

  async function readAll(): Promise<unknown[]> {
    const answers: unknown[] = [];
    for (const path of READS) {
      const { status, body } = await t.call('avery', 'GET', path);
      answers.push([path, status, body]);
    }
    const requests = (await t.call('avery', 'GET', '/v1/requests?limit=100')).body.items as { id: string }[];
    for (const { id } of requests.slice(0, 25))
      answers.push((await t.call('avery', 'GET', `/v1/requests/${id}`)).body);
    const token = await t.workloadToken('checkout', { audience: 'data:production' });
    answers.push((await t.call(token, 'POST', '/ofrep/v1/evaluate/flags', { context: {} })).body.flags);
    return answers;
  }

  /** The log as others see it. */
  async function logOf(): Promise<{ key: string; origin: string; checkpoint: string }> {
    const { key, origin } = (await t.call(null, 'GET', '/v1/log')).body;
    const checkpoint = await (await fetch(`${t.url}/log/checkpoint`)).text();
    return { key, origin, checkpoint: checkpoint.split('\n').slice(0, 3).join('\n') };
  }

  /** Copies in a process of its own that waits for a table, and kills it there. */
  async function killAt(table: string): Promise<void> {
    const release = await database.hold(`lock table ${table} in exclusive mode`);
    const child = spawn(
      process.execPath,
      [MAIN, 'store', 'copy', '--from', t.file, '--to', database.address],
      {
        cwd: t.folder,
        env: { PATH: process.env.PATH },
        stdio: 'ignore',
      },
    );
    const ended = new Promise((resolve) => child.on('close', resolve));
    const waiting = `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like 'insert into "${table}"%'`;
    await expect.poll(() => database.run(waiting), { timeout: 50_000 }).toHaveLength(1);
    child.kill('SIGKILL');
    await ended;
    await release();
  }

  beforeAll(async () => {
    t = await startTestBroker({
      config: { public_url: 'https://flags.example' },
      editData: withoutRetention,
    });
    database = await createDatabase();
    await createFlag(t, 'moved');
    await applyChanges(t, [{ action: 'enable', flag: 'moved' }]);
    await t.broker.scheduler.tick();
    expect(await erasePerson(t, 'emp-1001')).toMatchObject({ state: 'applied' });
    await playStory(t, { seed: 4711, steps: 90 });
    // A tile of the log is complete, and a page of its leaves is not the last one.
    await t.broker.store.writer.write(async (tx) => {
      for (let turn = 0; turn < 300; turn += 1) await append(tx, await undecidedEntry(tx));
    });
  }, 120_000);

  afterAll(async () => {
    await t.close();
    await database.remove();
  });

  it('is ordered by the keys that its tables have', async () => {
    const empty = await createDatabase();
    await (await openStore({ file: empty.address, clock: systemClock })).close();
    const keys =
      await empty.run(`select c.relname as "table", array_agg(a.attname::text order by k.place) as columns
      from pg_index i join pg_class c on c.oid = i.indrelid
      join unnest(i.indkey) with ordinality k (number, place) on true
      join pg_attribute a on a.attrelid = c.oid and a.attnum = k.number
      where i.indisprimary and c.relnamespace = 'public'::regnamespace group by c.relname`);
    const found = Object.fromEntries(keys.map(({ table, columns }) => [table, columns]));
    for (const [table, columns] of Object.entries(TABLE_KEYS)) {
      // Two unique columns, of which each row has one.
      if (table === 'erasures') continue;
      expect(found[table], table).toEqual(columns);
    }
    await empty.remove();
  });

  it('is refused while a broker runs on the file', async () => {
    const run = await copy();
    expect(run.json).toMatchObject({
      code: 'copy_failed',
      detail: expect.stringContaining('is in use by another broker'),
    });
  });

  it('is refused into a database that is not empty, and then nothing has changed', async () => {
    const other = await createDatabase();
    const store = await openStore({ file: other.address, clock: systemClock });
    await store.writer.write(async (tx) => {
      await tx.insertInto('wakes').values({ id: 'a', cause: 'b', after_id: '' }).execute();
    });
    await store.close();
    await t.broker.close();
    expect((await copy(other.address)).json).toMatchObject({
      code: 'copy_failed',
      detail: expect.stringMatching(/is not empty: its table wakes has rows/),
    });
    expect(await other.run('select count(*)::int as count from wakes')).toEqual([{ count: 1 }]);
    await t.restart();
    await other.remove();
  });

  it('that is killed is continued, is whole, and answers as the file did', async () => {
    await (await openStore({ file: database.address, clock: systemClock })).close();
    const answers = await readAll();
    // A broker that ends records what was evaluated, so the log is taken after that.
    await t.restart();
    const before = { answers, log: await logOf() };
    await t.broker.close();
    for (const table of ['requests', 'leaves']) {
      await killAt(table);
      await expect(openStore({ file: database.address, clock: systemClock })).rejects.toThrow(
        /is an incomplete copy of .*store copy --from/,
      );
      await expect(openStore({ file: t.file, clock: systemClock })).rejects.toThrow(
        /was copied to postgres:.*no longer written.*store reopen/,
      );
    }
    const done = await copy();
    expect(done.err).toMatch(/copied leaves: 100 %[\s\S]*verified leaves: 100 %/);
    expect(done.code).toBe(0);
    const rows = done.json.tables.reduce((sum: number, table: { rows: number }) => sum + table.rows, 0);
    expect(done.json.copied).toBeGreaterThan(300);
    expect(done.json.copied).toBeLessThan(rows);
    for (const table of [
      'votes',
      'evaluations',
      'freezes',
      'erasures',
      'breakglass_sessions',
      'log_tiles',
      'revocations',
      'log_keys',
    ])
      expect(
        done.json.tables.find((each: { table: string }) => each.table === table).rows,
        table,
      ).toBeGreaterThan(0);
    // It is complete, so nothing is copied twice, and the file stays closed.
    expect((await copy()).json.detail).toContain('is complete. Start the broker with that database');
    await expect(openStore({ file: t.file, clock: systemClock })).rejects.toThrow('no longer written');

    const config = join(t.folder, 'countersign.yaml');
    const present = JSON.parse(await readFile(config, 'utf8'));
    await writeFile(
      config,
      JSON.stringify({
        ...present,
        database: database.address,
        master_key_file: 'countersign.db.master-key',
      }),
    );
    await t.restart();
    expect(await logOf()).toEqual(before.log);
    expect(before.log.checkpoint).toContain(`\n${done.json.size}\n${done.json.root}`);
    expect(await readAll()).toEqual(before.answers);
    const frozen = await t.call('riley+mfa', 'POST', '/v1/freezes', {
      scope: 'flag',
      flag: 'moved',
      incident: 'INC-77',
      reason: 'after the move',
    });
    expect(frozen.status).toBe(201);
    expect(await t.broker.store.writeRefusal()).toBeNull();
    // The log goes on, and a stranger verifies it with the key that it had in the file.
    t.clock.advance(1000);
    const terminal = createTerminal(t);
    const log = join(t.folder, 'log');
    await writeFile(join(t.folder, 'key'), `${before.log.key}\n`);
    const published = await terminal.as('avery', 'publish', '--log', log);
    expect([published.code, published.err]).toEqual([0, '']);
    const verified = await terminal.run('verify', log, '--key', join(t.folder, 'key'), '--json');
    expect([verified.code, verified.json.gaps]).toEqual([0, []]);
  }, 180_000);

  describe('of a second file', () => {
    let second: TestDatabase;
    let file: string;
    const copySecond = () => runAlone(['store', 'copy', '--json', '--from', file, '--to', second.address]);

    beforeAll(async () => {
      second = await createDatabase();
      file = join(t.folder, 'second.db');
      const store = await openStore({ file, clock: systemClock });
      await store.writer.write(async (tx) => {
        for (const id of ['a', 'b', 'c'])
          await tx.insertInto('wakes').values({ id, cause: 'c', after_id: '' }).execute();
        for (const version of [1, 2])
          await tx
            .insertInto('flag_versions')
            .values({ flag: 'f', version, definition: '{}', request_id: 'r', decision_id: 'd', at_ms: 1 })
            .execute();
      });
      await store.close();
    });
    afterAll(async () => {
      await second.remove();
      await rm(file);
    });

    it('with a row that another changed is not used, and names the row', async () => {
      await (await openStore({ file: second.address, clock: systemClock })).close();
      // What a copy would leave that was stopped, but for one row.
      await second.run(`create function spoil() returns trigger language plpgsql as $$
          begin new.definition := '{"spoilt":1}'; return new; end $$;
        create trigger spoil before insert on flag_versions for each row when (new.version = 2) execute function spoil()`);
      const run = await copySecond();
      expect(run.json).toMatchObject({
        code: 'copy_failed',
        detail: expect.stringMatching(
          /The row f, 2 of the table flag_versions is another one.*Drop that database/,
        ),
      });
      await expect(openStore({ file: second.address, clock: systemClock })).rejects.toThrow(
        'is an incomplete copy',
      );
    });

    it('with a row too many or too few is not used either', async () => {
      await second.run(`drop trigger flag_versions_refuse_update on flag_versions;
        update flag_versions set definition = '{}'; delete from wakes where id = 'b'`);
      expect((await copySecond()).json.detail).toContain('The copy lacks the row b of the table wakes');
      await second.run("insert into wakes values ('b', 'c', ''), ('bb', 'c', '')");
      expect((await copySecond()).json.detail).toContain(
        'has a row bb in the table wakes that is not in the file',
      );
    });

    it('is given up for the file, which a broker then uses again', async () => {
      const refused = await runAlone(['store', 'reopen', file, '--json']);
      expect(refused.json).toMatchObject({ code: 'usage', detail: expect.stringContaining('--yes') });
      const run = await runAlone(['store', 'reopen', file, '--yes', '--json']);
      expect(run.json).toMatchObject({ file, copied_to: expect.stringContaining('postgres://') });
      await (await openStore({ file, clock: systemClock })).close();
      expect((await runAlone(['store', 'reopen', file, '--yes', '--json'])).json.detail).toContain(
        'was not copied',
      );
      // The copy belongs to a move that is over.
      expect((await copySecond()).json.detail).toMatch(/has an incomplete copy .* of another move/);
    });

    it('which lacks what was acknowledged is refused: a copy would hide that', async () => {
      setMetaIn(file, 'mark_kept', '1');
      await rm(`${file}.acknowledged`);
      expect((await copySecond()).json.detail).toMatch(/is missing.*accept-restore/);
    });

    it('is refused by serve, with the command that goes on', async () => {
      await writeFile(join(t.folder, 'incomplete.yaml'), JSON.stringify({ database: second.address }));
      const serving = serveIn(t.folder, { words: ['--config', 'incomplete.yaml'] });
      expect(await serving.exit).toBe(1);
      expect(serving.err()).toMatch(/is an incomplete copy of .*countersign store copy/);
    });

    it.each([
      [['--from', 'nowhere.db', '--to', 'postgres://127.0.0.1:1/x'], 'nowhere.db does not exist'],
      [['--from', 'FILE', '--to', 'other.db'], '--from FILE --to postgres://user@host/name'],
      [['--from', 'postgres://127.0.0.1:1/x', '--to', 'postgres://127.0.0.1:1/x'], '--from FILE --to'],
      [['--from', 'FILE', '--to', 'postgres://127.0.0.1:1/x'], 'see whether the server runs there'],
    ])('is not begun with %j', async (words, refusal) => {
      setMetaIn(file, 'mark_kept', null);
      const run = await runAlone([
        'store',
        'copy',
        '--json',
        ...words.map((word) => (word === 'FILE' ? file : word)),
      ]);
      expect([run.code, run.json.code]).toEqual([1, 'copy_failed']);
      expect(run.json.detail).toContain(refusal);
    });

    it('is not made again where it was complete, as long as it is not given up', async () => {
      const third = await createDatabase();
      const copyThird = () => runAlone(['store', 'copy', '--json', '--from', file, '--to', third.address]);
      expect((await copyThird()).code).toBe(0);
      await third.run('drop schema public cascade; create schema public');
      expect((await copyThird()).json.detail).toMatch(/was copied completely to postgres:.*store reopen/);
      expect((await runAlone(['store', 'reopen', file, '--yes', '--json'])).code).toBe(0);
      expect((await copyThird()).code).toBe(0);
      await third.remove();
    });
  });
});
