import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { exchange, startTestBroker, type TestBroker } from '../support/broker.ts';
import { countRows, createFlag, propose, readFlag } from '../support/flags.ts';
import { findContradictions } from '../support/log-oracle.ts';
import { holdWriteLock, integrityOf, limitPages, pageCount } from '../support/sqlite/file.ts';
import { refuseInserts } from '../support/sqlite/rows.ts';

/*
 * No record, no write (design invariant 10), and reads that go on (11). The faults are the store's own: a trigger or a
 * limit that another connection to the same file has set.
 */

let t: TestBroker;

beforeEach(async () => {
  t = await startTestBroker();
  await createFlag(t, 'plain', { tier: 'informational' });
});

afterEach(() => t.close());

async function expectReadsGoOn(): Promise<void> {
  expect((await t.call('dana', 'GET', '/v1/flags/plain')).status).toBe(200);
  expect((await t.call('dana', 'GET', '/v1/requests')).status).toBe(200);
  const service = await t.workloadToken('checkout').catch(() => null);
  // A token cannot be issued without its record either; one that is there still reads.
  expect(service).toBeNull();
}

describe.each(['records', 'details', 'recordFlags', 'stateVersions'] as const)(
  'a store that refuses %s',
  (subject) => {
    it('fails every write with 503, changes no flag, and heals', async () => {
      const heal = refuseInserts(t.file, subject);
      const before = await countRows(t);
      const { status, body, headers } = await propose(t, [{ action: 'enable', flag: 'plain' }]);
      expect({ status, code: body.code }).toEqual({ status: 503, code: 'not_recorded' });
      expect(headers.get('retry-after')).toBe('5');
      expect(JSON.stringify(body)).not.toContain('fire');
      expect(await countRows(t)).toEqual(before);
      expect((await readFlag(t, 'plain')).states.production).toMatchObject({ enabled: false, version: 1 });
      heal();
      expect((await propose(t, [{ action: 'enable', flag: 'plain' }])).body.state).toBe('applied');
      expect(await findContradictions(t.file)).toEqual([]);
    });
  },
);

describe('a store that refuses records', () => {
  it('lets reads go on, freezes nothing, opens no session and issues no token', async () => {
    refuseInserts(t.file, 'records');
    await expectReadsGoOn();
    const order = { incident: 'I', reason: 'x' };
    for (const [path, body] of [
      ['/v1/freezes', { scope: 'all', ...order }],
      ['/v1/break-glass', order],
    ] as const) {
      expect((await t.call('riley+mfa', 'POST', path, body)).body.code).toBe('not_recorded');
    }
    expect((await t.call('dana', 'GET', '/v1/freezes')).body.items).toEqual([]);
    expect((await t.call('dana', 'GET', '/v1/break-glass')).body.items).toEqual([]);
    expect((await t.call('morgan', 'POST', '/v1/keys/rotate')).body.code).toBe('not_recorded');
  });

  it('shows no decision log, since reading it could not be recorded', async () => {
    refuseInserts(t.file, 'records');
    expect((await t.call('avery', 'GET', '/v1/decisions')).body.code).toBe('not_recorded');
  });
});

describe('a clock that is behind the last record', () => {
  it('by a few seconds writes with the moment of that record', async () => {
    const { body: before } = await t.call('avery', 'GET', '/v1/decisions?limit=1');
    t.clock.advance(-4000);
    const { body } = await propose(t, [{ action: 'enable', flag: 'plain' }]);
    expect(body).toMatchObject({ state: 'applied', created_ms: before.items[0].at_ms });
    expect(await findContradictions(t.file)).toEqual([]);
  });

  it('by more fails every write with 503 and issues no token, and reads go on', async () => {
    const service = await t.workloadToken('checkout', { audience: 'data:production' });
    const before = await countRows(t);
    t.clock.advance(-6000);
    const { status, body, headers } = await propose(t, [{ action: 'enable', flag: 'plain' }]);
    expect({ status, code: body.code }).toEqual({ status: 503, code: 'clock_behind' });
    expect(headers.get('retry-after')).toBe('6');
    const exchanged = await exchange(t.url, await t.ci.token());
    expect(exchanged.status).toBe(503);
    expect(exchanged.body.error).toBe('temporarily_unavailable');
    expect((await t.call('dana', 'GET', '/v1/flags/plain')).status).toBe(200);
    expect((await t.call(service, 'POST', '/ofrep/v1/evaluate/flags', { context: {} })).status).toBe(200);
    await t.broker.scheduler.tick();
    expect(await countRows(t)).toEqual(before);
    t.clock.advance(6000);
    expect((await propose(t, [{ action: 'enable', flag: 'plain' }])).body.state).toBe('applied');
  });
});

describe('a full disk', () => {
  it('fails writes with 503 and loses none that was acknowledged; writes resume when there is room', async () => {
    const limit = (pages: number) => t.broker.store.writer.write((tx) => limitPages(tx, pages));
    await limit(pageCount(t.file));
    let acknowledged = 0;
    let refused = 0;
    for (let turn = 0; turn < 60; turn += 1) {
      const action = acknowledged % 2 === 0 ? 'enable' : 'disable';
      const { status, body } = await propose(t, [{ action, flag: 'plain' }]);
      if (status === 201) acknowledged += 1;
      else refused += body.code === 'not_recorded' ? 1 : 1000;
    }
    expect(refused).toBeGreaterThan(0);
    expect(refused).toBeLessThan(1000);
    expect((await t.call('dana', 'GET', '/v1/flags/plain')).status).toBe(200);
    expect((await readFlag(t, 'plain')).states.production.version).toBe(1 + acknowledged);
    await limit(1_000_000);
    const action = acknowledged % 2 === 0 ? 'enable' : 'disable';
    expect((await propose(t, [{ action, flag: 'plain' }])).body.state).toBe('applied');
    expect(await findContradictions(t.file)).toEqual([]);
    expect(integrityOf(t.file)).toBe('ok');
  });
});

describe('a store that another process holds', () => {
  it('fails the write with 503 when the wait is over, answers reads meanwhile, and takes the next write', async () => {
    const release = holdWriteLock(t.file);
    const order: string[] = [];
    const write = propose(t, [{ action: 'enable', flag: 'plain' }]).then((answer) => {
      order.push('write');
      return answer;
    });
    for (const read of ['first read', 'second read']) {
      expect((await readFlag(t, 'plain')).states.production.enabled).toBe(false);
      order.push(read);
    }
    const { status, body, headers } = await write;
    expect(order).toEqual(['first read', 'second read', 'write']);
    expect({ status, code: body.code }).toEqual({ status: 503, code: 'database_in_use' });
    expect(headers.get('retry-after')).toBe('5');
    release();
    expect((await propose(t, [{ action: 'enable', flag: 'plain' }])).body.state).toBe('applied');
  });

  it('for less than that only delays the write', async () => {
    const release = holdWriteLock(t.file);
    const write = propose(t, [{ action: 'enable', flag: 'plain' }]);
    expect((await readFlag(t, 'plain')).states.production.enabled).toBe(false);
    release();
    expect((await write).body.state).toBe('applied');
    expect((await readFlag(t, 'plain')).states.production.enabled).toBe(true);
  });
});
