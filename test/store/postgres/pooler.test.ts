import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import { openStore } from '../../../src/store/database.ts';
import { runAlone } from '../../cli/alone.ts';
import { startTestBroker } from '../../support/broker.ts';
import { hasPooler, type Pooler, startPooler } from '../../support/pgbouncer.ts';
import { createDatabase, type TestDatabase } from '../../support/postgres.ts';
import { playStory } from '../../support/story.ts';

/* PgBouncer in transaction mode: each transaction may have another session, and none keeps prepared statements. */

describe.skipIf(!hasPooler('PgBouncer'))('through PgBouncer in transaction mode', () => {
  let database: TestDatabase;
  let pooler: Pooler;

  beforeAll(async () => {
    database = await createDatabase();
    pooler = await startPooler(database.address);
  });
  afterAll(async () => {
    await pooler.close();
    await database.remove();
  });

  it('no schema is changed: the command with a direct address is named, however it is configured', async () => {
    const lenient = await startPooler(database.address, {
      ignore_startup_parameters: 'lock_timeout, options, extra_float_digits',
    });
    for (const { address } of [pooler, lenient]) {
      const run = await runAlone(['migrate', '--json', '--database', address]);
      expect([run.code, run.json.code]).toEqual([1, 'migrate_failed']);
      expect(run.json.detail).toMatch(/a pooler is between.*migrate --database.*direct address/);
      await expect(openStore({ file: address, clock: systemClock })).rejects.toThrow(/a pooler is between/);
    }
    await lenient.close();
    const tables = "select count(*)::int as tables from pg_tables where schemaname = 'public'";
    expect(await database.run(tables)).toEqual([{ tables: 0 }]);
  });

  it('everything that people do works, and two brokers answer alike', async () => {
    expect((await runAlone(['migrate', '--json', '--database', database.address])).code).toBe(0);
    const t = await startTestBroker({ config: { database: pooler.address } });
    const other = await openStore({ file: pooler.address, clock: t.clock });
    const replies = await playStory(t, { seed: 64, steps: 60 });
    expect(replies.filter(({ status }) => status >= 500).map(({ body }) => body)).toEqual([]);
    expect(replies.filter(({ status }) => status < 300).length).toBeGreaterThan(5);
    const head = await other.read.selectFrom('log_head').selectAll().executeTakeFirstOrThrow();
    expect(head.size).toBeGreaterThan(20);
    expect(await other.writeRefusal()).toBeNull();
    await other.close();
    await t.close();
  });
});
