import { type Kysely, sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { kyselyOver, openPool } from '../../../src/store/postgres/connection.ts';
import { betweenBatches } from '../../../src/store/postgres/migrations.ts';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { createFlag, propose } from '../../support/flags.ts';
import { createDatabase, type TestDatabase } from '../../support/postgres.ts';
import { hasPostgres } from '../../support/postgres-server.ts';

/*
 * An upgrade without a pause: a broker of the former version goes on while the schema gets what a later version adds, and while a
 * broker of that version starts beside it. What a migration may do at all is in the promise of docs/deployment.md: it only adds.
 */

/** What a later version adds: columns where every write reads and writes, an index, and a table. */
async function add(db: Kysely<unknown>): Promise<void> {
  for (const table of ['log_head', 'leaves', 'record_details', 'requests', 'flags', 'flag_states', 'meta'])
    await sql`alter table ${sql.table(table)} add column later text`.execute(db);
  await sql`alter table requests add column later_count bigint not null default 0`.execute(db);
  await sql`create index requests_later on requests (later)`.execute(db);
  await sql`create table later_things (id text primary key, request_id text not null)`.execute(db);
}

describe.skipIf(!hasPostgres('an upgrade on PostgreSQL'))('an upgrade', () => {
  let database: TestDatabase;
  let former: TestBroker;

  beforeAll(async () => {
    database = await createDatabase();
    former = await startTestBroker({
      config: { database: database.address, public_url: 'https://countersign.example' },
    });
  });
  afterAll(async () => {
    await former.close();
    await database.remove();
  });

  it('refuses no call: the former broker writes before, during and after it, beside the new one', async () => {
    const answers: string[] = [];
    let isOver = false;
    const write = async (t: TestBroker, flag: string) => {
      await createFlag(t, flag);
      for (let number = 0; !isOver; number += 1) {
        const action = number % 2 === 0 ? 'enable' : 'disable';
        const { status, body } = await propose(t, [{ action, flag }], { environment: 'development' });
        answers.push(`${status} ${body.state ?? body.code}`);
      }
    };
    const more = () =>
      expect.poll(() => answers.length, { timeout: 60_000 }).toBeGreaterThan(answers.length + 5);
    const clients = [write(former, 'upgraded.one'), write(former, 'upgraded.two')];
    await more();
    const db = kyselyOver(openPool(database.address, { max: 1 })) as unknown as Kysely<unknown>;
    await db.transaction().execute((tx) => betweenBatches({ up: add }).up(tx));
    await db.destroy();
    await more();
    const later = await former.another();
    clients.push(write(later, 'upgraded.three'));
    await more();
    await database.run("insert into kysely_migration values ('9999_later', '2027-01-01')");
    await more();
    isOver = true;
    await Promise.all(clients);
    await later.close();
    expect(new Set(answers)).toEqual(new Set(['201 applied']));
    // What has been stopped is started as the new version.
    await expect(former.another()).rejects.toThrow('is newer than this broker');
  }, 180_000);
});
