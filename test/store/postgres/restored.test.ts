import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTerminal } from '../../cli/support.ts';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { createFlag, propose, readFlag } from '../../support/flags.ts';
import { findContradictions } from '../../support/log-oracle.ts';
import { act, actOffline } from '../../support/operator.ts';
import { record } from '../../support/pass-time.ts';
import { createDatabase, type TestDatabase } from '../../support/postgres.ts';
import { hasPostgres } from '../../support/postgres-server.ts';
import { copyToFile } from '../../support/sqlite/copied.ts';
import { readRequests } from '../../support/sqlite/rows.ts';

/*
 * A dump that is made while clients write, and restored into another database: nothing beside the database shows that it
 * is older.
 */

const SOON = { timeout: 30_000 };

describe.skipIf(!hasPostgres('restored copies on PostgreSQL'))('a dump that is restored on a server', () => {
  let t: TestBroker;
  let database: TestDatabase;
  let restored: TestDatabase;
  let published: string;
  let restore: () => Promise<TestDatabase>;
  /** The requests that were acknowledged before the dump began. */
  const before: string[] = [];

  const writes = async () => (await t.call(null, 'GET', '/readyz?for=writes')).body.refusal?.code ?? null;

  async function publish(folder = published): Promise<void> {
    t.clock.advance(1000);
    const { code, err } = await createTerminal(t).as('avery', 'publish', '--log', folder);
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
    for (const flag of ['kept', 'one', 'two']) await createFlag(t, flag, { tier: 'informational' });
    await publish();
  });
  afterAll(async () => {
    await t.close();
    await database.remove();
    await restored?.remove();
    await rm(published, { recursive: true });
  });

  it('is made while clients write', async () => {
    const acknowledged: string[] = [];
    let isOver = false;
    const clients = ['one', 'two'].map(async (flag) => {
      for (let turn = 0; !isOver; turn += 1) {
        const { status, body } = await propose(t, [{ action: turn % 2 === 0 ? 'enable' : 'disable', flag }]);
        expect(status).toBe(201);
        acknowledged.push(body.id);
      }
    });
    try {
      await expect.poll(() => acknowledged.length, SOON).toBeGreaterThan(3);
      before.push(...acknowledged);
      restore = await database.dump();
      expect(acknowledged.length).toBeGreaterThan(before.length);
    } finally {
      isOver = true;
      await Promise.all(clients);
    }
    await createFlag(t, 'lost');
    await publish();
  });

  it('is not accepted while there is nothing that it lacks', async () => {
    const run = await actOffline(t, 'accept-restore');
    expect([run.code, run.json.code]).toEqual([5, 'nothing_to_accept']);
    expect(await writes()).toBeNull();
  });

  it('is noticed where the log is published: writes are refused, reads go on', async () => {
    await t.broker.close();
    restored = await restore();
    const config = join(t.folder, 'countersign.yaml');
    const text = await readFile(config, 'utf8');
    await writeFile(config, text.replace(database.address, restored.address));
    await t.restart();
    expect(await writes()).toBe('restored_copy');
    expect(await record(t)).toBe(503);
    expect((await readFlag(t, 'kept')).key).toBe('kept');
    expect((await t.call(null, 'GET', '/v1/log')).body.code).toBe('restored_copy');
  });

  it('has every write that was acknowledged before it began, and the evidence of each', async () => {
    const file = join(published, 'restored.db');
    await copyToFile(restored, file);
    const copied = new Set(readRequests(file).map(({ id }) => id));
    expect(before.filter((id) => !copied.has(id))).toEqual([]);
    expect(await findContradictions(file)).toEqual([]);
    await expect(restored.run('delete from leaves')).rejects.toThrow('leaves is append-only');
  });

  it('is accepted by an operator, which freezes everything and names the log anew', async () => {
    const run = await actOffline(t, 'accept-restore', 'the dump of 03:00 is the newest');
    expect(run.code).toBe(0);
    expect(await writes()).toBeNull();
    expect(await record(t)).toBe(200);
    expect(await restored.run('select scope from freezes where lifted_ms is null')).toEqual([
      { scope: 'all' },
    ]);
    const [head] = await restored.run('select epoch::int from log_head');
    expect(head).toEqual({ epoch: 2 });
    const anew = join(published, 'anew');
    await publish(anew);
    const { json } = await createTerminal(t).as('avery', 'audit', 'key', '--json');
    expect((await createTerminal(t).run('verify', anew, '--key', json.key)).code).toBe(0);
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
