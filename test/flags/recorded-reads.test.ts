import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isSensitive, parseBrokerData } from '../../src/policy/data.ts';
import { exchange, type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { createFlag } from '../support/flags.ts';
import { findContradictions } from '../support/log-oracle.ts';
import { IS_POSTGRES } from '../support/postgres-server.ts';
import { refuseInserts } from '../support/sqlite/rows.ts';

/*
 * Reads that are evidence: of flags that the policy calls sensitive, of decisions, and of who has access. Each is one record,
 * committed before its answer.
 */

let t: TestBroker;

beforeAll(async () => {
  t = await startTestBroker({
    editData: (data) => {
      const { config } = data as { config: object };
      return { config: { ...config, recorded_reads: { tiers: ['high-risk'], namespaces: ['ledger'] } } };
    },
  });
  await createFlag(t, 'vault', { tier: 'high-risk' });
  await createFlag(t, 'vault-2', { tier: 'high-risk' });
  await createFlag(t, 'plain', { tier: 'informational' });
});

afterAll(() => t.close());

/** The records that a call leaves besides its answer, as an auditor finds them. */
async function recordsOf(call: () => Promise<Reply>): Promise<{ reply: Reply; records: Reply['body'][] }> {
  const read = async () =>
    (await t.call('avery', 'GET', '/v1/decisions?limit=200')).body.items as Reply['body'][];
  const [newest] = await read();
  const reply = await call();
  const records = (await read()).filter(({ place }) => place > newest.place);
  // The read of the log just now is none of them.
  return { reply, records: records.slice(1) };
}

const flagsOf = (record: Reply['body']) => record.flags.map(({ flag }: { flag: string }) => flag);

describe('a read of sensitive flags', () => {
  it('is one record of one flag, whose place its answer names', async () => {
    const { reply, records } = await recordsOf(() => t.call('dana', 'GET', '/v1/flags/vault'));
    expect(reply.status).toBe(200);
    expect(records).toHaveLength(1);
    expect(records[0]).toMatchObject({
      operation: 'flag.read',
      principal: { person: 'emp-1001' },
      outcome: { effect: 'allow' },
      flags: [{ flag: 'vault', environment: null, version_before: 1, version_after: 1 }],
      record: { flags: [{ flag: 'vault', digest: null }] },
    });
    expect(reply.headers.get('countersign-log-place')).toBe(`${records[0].place};epoch=1`);
  });

  it('is one record of a page, that names what the page shows and is sensitive', async () => {
    const path = '/v1/flags?environment=production';
    const { reply, records } = await recordsOf(() => t.call('dana', 'GET', path));
    expect(reply.body.items.map(({ key }: { key: string }) => key)).toEqual(['plain', 'vault', 'vault-2']);
    expect(records.map(flagsOf)).toEqual([['vault', 'vault-2']]);
    expect(records[0]).toMatchObject({ environment: 'production' });
    const paged = await recordsOf(() => t.call('dana', 'GET', `${path}&limit=2`));
    expect(paged.records.map(flagsOf)).toEqual([['vault']]);
  });

  it('is one record of a history', async () => {
    const path = '/v1/flags/vault/versions?environment=production';
    const { reply, records } = await recordsOf(() => t.call('dana', 'GET', path));
    expect(reply.status).toBe(200);
    expect(records.map(flagsOf)).toEqual([['vault']]);
  });

  it('is found by its flag and its reader', async () => {
    await t.call('sam', 'GET', '/v1/flags/vault-2');
    const query = 'flag=vault-2&operation=flag.read&principal=person:demo:sam';
    const { items } = (await t.call('avery', 'GET', `/v1/decisions?${query}`)).body;
    expect(items).toHaveLength(1);
  });

  it('is a record each, of many at once', async () => {
    const reads = Array.from({ length: 20 }, () => t.call('dana', 'GET', '/v1/flags/vault'));
    const { reply, records } = await recordsOf(async () => (await Promise.all(reads))[0] as Reply);
    expect(reply.status).toBe(200);
    expect(records.length).toBeLessThanOrEqual(20);
    const { items } = (await t.call('avery', 'GET', '/v1/decisions?flag=vault&limit=200')).body;
    const ofReads = items.filter(({ operation }: Reply['body']) => operation === 'flag.read');
    const places = (await Promise.all(reads)).map(({ headers }) => headers.get('countersign-log-place'));
    expect(new Set(places).size).toBe(20);
    const stored = ofReads.map(({ place }: { place: number }) => `${place};epoch=1`);
    expect(stored).toEqual(expect.arrayContaining(places));
  });

  it('is none of other flags', async () => {
    expect((await recordsOf(() => t.call('dana', 'GET', '/v1/flags/plain'))).records).toEqual([]);
    const page = '/v1/flags?environment=production&limit=1';
    expect((await recordsOf(() => t.call('dana', 'GET', page))).records).toEqual([]);
  });

  it('of the records of reads adds one for each call, and no more', async () => {
    const query = '/v1/decisions?operation=decision.read&limit=200';
    const { records } = await recordsOf(() => t.call('avery', 'GET', query));
    expect(records.map(({ operation }) => operation)).toEqual(['decision.read']);
  });
});

describe('a store that takes no record', () => {
  it.skipIf(IS_POSTGRES)('shows nothing that has to be recorded, and everything else', async () => {
    const { access_token: token } = (
      await exchange(t.url, await t.ci.checkoutToken(), { audience: 'data:production' })
    ).body;
    const heal = refuseInserts(t.file, 'records');
    try {
      for (const [who, path] of [
        ['dana', '/v1/flags/vault'],
        ['dana', '/v1/flags?environment=production'],
        ['dana', '/v1/flags/vault/versions?environment=production'],
        ['avery', '/v1/decisions'],
        ['avery', '/v1/log/inputs'],
        ['avery', '/v1/access'],
      ] as const) {
        const { status, body } = await t.call(who, 'GET', path);
        expect([path, status, body.code]).toEqual([path, 503, 'not_recorded']);
        expect(JSON.stringify(body)).not.toContain('vault-2');
      }
      expect((await t.call('dana', 'GET', '/v1/flags/plain')).status).toBe(200);
      const evaluated = await t.call(token, 'POST', '/ofrep/v1/evaluate/flags', {});
      expect(evaluated.status).toBe(200);
    } finally {
      heal();
    }
    expect((await t.call('dana', 'GET', '/v1/flags/vault')).status).toBe(200);
    expect(await findContradictions(t.file)).toEqual([]);
  });
});

describe('what is sensitive', () => {
  const sensitive = (recorded_reads: unknown) =>
    parseBrokerData({ config: { environments: { production: { kind: 'production' } }, recorded_reads } })
      .recorded_reads;
  const flag = (tier: 'sensitive' | 'high-risk', namespace: string) => ({ tier, namespace });

  it.each([
    ['is high-risk in a policy that does not say it', undefined, [true, false]],
    ['is high-risk besides namespaces', { namespaces: ['ledger'] }, [true, true]],
    ['is what the policy says', { tiers: ['sensitive'] }, [false, true]],
    ['is everything in all namespaces', { tiers: [], namespaces: ['*'] }, [true, true]],
    ['is nothing if the policy says so', { tiers: [] }, [false, false]],
    ['is high-risk where a custom policy has something else there', 'nothing', [true, false]],
  ])('%s', (_, said, [highRisk, ledger]) => {
    const data = sensitive(said);
    expect(isSensitive(data, flag('high-risk', 'payments'))).toBe(highRisk);
    expect(isSensitive(data, flag('sensitive', 'ledger'))).toBe(ledger);
  });
});
