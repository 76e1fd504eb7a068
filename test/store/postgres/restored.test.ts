import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTerminal } from '../../cli/support.ts';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { createFlag, readFlag } from '../../support/flags.ts';
import { act, actOffline } from '../../support/operator.ts';
import { record } from '../../support/pass-time.ts';
import { createDatabase, type TestDatabase } from '../../support/postgres.ts';
import { hasPostgres } from '../../support/postgres-server.ts';

/* An older dump that is restored on a server, and what an operator then does: nothing beside the database shows it. */

describe.skipIf(!hasPostgres('restored copies on PostgreSQL'))('an older copy on a server', () => {
  let t: TestBroker;
  let database: TestDatabase;
  let published: string;
  let restore: () => Promise<void>;

  const writes = async () => (await t.call(null, 'GET', '/readyz?for=writes')).body.refusal?.code ?? null;

  async function publish(): Promise<void> {
    t.clock.advance(1000);
    const { code, err } = await createTerminal(t).as('avery', 'publish', '--log', published);
    expect([code, err]).toEqual([0, '']);
  }

  beforeAll(async () => {
    published = await mkdtemp(join(tmpdir(), 'countersign-published-'));
    database = await createDatabase();
    t = await startTestBroker({
      config: {
        database: database.address,
        public_url: 'https://flags.example',
        published_log: [published],
      },
    });
    await createFlag(t, 'kept');
    await publish();
    await t.broker.close();
    restore = await database.keep();
    await t.restart();
    await createFlag(t, 'lost');
    await publish();
  });
  afterAll(async () => {
    await t.close();
    await database.remove();
    await rm(published, { recursive: true });
  });

  it('is not accepted while there is nothing that it lacks', async () => {
    const run = await actOffline(t, 'accept-restore');
    expect([run.code, run.json.code]).toEqual([5, 'nothing_to_accept']);
    expect(await writes()).toBeNull();
  });

  it('is noticed where the log is published: writes are refused, reads go on', async () => {
    await t.broker.close();
    await restore();
    await t.restart();
    expect(await writes()).toBe('restored_copy');
    expect(await record(t)).toBe(503);
    expect((await readFlag(t, 'kept')).key).toBe('kept');
    expect((await t.call(null, 'GET', '/v1/log')).body.code).toBe('restored_copy');
  });

  it('is accepted by an operator, which freezes everything and names the log anew', async () => {
    const run = await actOffline(t, 'accept-restore', 'the dump of 03:00 is the newest');
    expect(run.code).toBe(0);
    expect(await writes()).toBeNull();
    expect(await record(t)).toBe(200);
    expect(await database.run('select scope from freezes where lifted_ms is null')).toEqual([
      { scope: 'all' },
    ]);
    const [head] = await database.run('select epoch::int from log_head');
    expect(head).toEqual({ epoch: 2 });
  });

  it('is a database whose clock an operator accepts, too', async () => {
    t.clock.advance(-60_000);
    expect(await writes()).toBe('clock_behind');
    const run = await actOffline(t, 'accept-clock');
    expect(run.code).toBe(0);
    expect(await writes()).toBeNull();
  });

  it('ends the brokers that run while an operator acts', async () => {
    t.clock.advance(-60_000);
    expect((await act(t, 'accept-clock')).code).toBe(0);
    expect(await writes()).toBe('not_recorded');
    await t.restart();
    expect(await writes()).toBeNull();
  });
});
