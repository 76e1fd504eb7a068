import { randomUUID } from 'node:crypto';
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TestBroker } from '../support/broker.ts';
import { createFlag } from '../support/flags.ts';
import { readerToken, startPublishingBroker } from '../support/snapshots.ts';

/* What relays report: which version each serves, and what was read there. */

const DIGEST = `sha256:${'a'.repeat(64)}`;
const READER = 'workload:checkout-service:an-application';
let t: TestBroker;

beforeAll(async () => {
  t = await startPublishingBroker();
  await createFlag(t, 'checkout.reported', { tier: 'informational' });
});
afterAll(() => t.close());

type Report = Record<string, unknown>;

const read = (changes: Report = {}): Report => ({
  environment: 'production',
  workload: READER,
  flag: 'checkout.reported',
  variant: 'on',
  count: 3,
  first_ms: t.clock() - 1000,
  last_ms: t.clock(),
  ...changes,
});

const reportOf = (changes: Report = {}): Report => ({
  id: randomUUID(),
  relay: 'eu-1',
  version: 1,
  digest: DIGEST,
  served_ms: t.clock(),
  reads: [read()],
  ...changes,
});

async function send(report: unknown, token?: string) {
  return t.call(token ?? (await readerToken(t)), 'POST', '/snapshots/production/reports', report);
}

/** What is recorded of the flag, by whom and to which variant. */
async function recorded(): Promise<Record<string, unknown>[]> {
  t.clock.advance(61_000);
  await t.broker.scheduler.tick();
  const { body } = await t.call('avery', 'GET', '/v1/evaluations?flag=checkout.reported');
  return body.items.map(({ workload, variant, count }: Record<string, unknown>) => ({
    workload,
    variant,
    count,
  }));
}

const relays = async (who = 'avery') => (await t.call(who, 'GET', '/v1/relays')).body.items;

describe('a report', () => {
  it('counts once, however often it comes, and its reads are recorded as those of the broker', async () => {
    const first = reportOf();
    for (let attempt = 0; attempt < 3; attempt += 1) expect((await send(first)).status).toBe(204);
    await Promise.all([send(first), send(first)]);
    expect(
      (await send(reportOf({ reads: [read({ count: 4 }), read({ variant: 'off', count: 1 })] }))).status,
    ).toBe(204);
    // Another relay with the same id is another report.
    expect((await send({ ...first, relay: 'eu-2' })).status).toBe(204);
    expect(await recorded()).toEqual(
      expect.arrayContaining([
        { workload: READER, variant: 'on', count: 10 },
        { workload: READER, variant: 'off', count: 1 },
      ]),
    );
    // Recorded once: nothing waits any more, and a late copy adds nothing.
    await send(first);
    expect((await recorded()).length).toBe(2);
    const { body } = await t.call('avery', 'GET', '/v1/decisions?operation=evaluations.counted');
    expect(JSON.stringify(body)).toContain('at relays');
  });

  it('of a flag that the broker does not have is counted without names, with everything else in it', async () => {
    const reads = [read({ flag: 'no.such-flag', count: 5 }), read({ variant: 'beside', count: 2 })];
    expect((await send(reportOf({ reads }))).status).toBe(204);
    expect(await recorded()).toContainEqual({ workload: READER, variant: 'beside', count: 2 });
    const { body } = await t.call('avery', 'GET', '/v1/evaluations');
    expect(JSON.stringify(body)).not.toContain('no.such-flag');
    expect(body.items).toContainEqual(
      expect.objectContaining({ workload: null, flag: null, variant: null, count: 5 }),
    );
  });

  it('never adds up to a number that is inexact, however much is invented', async () => {
    const many = Array.from({ length: 1000 }, () => read({ variant: 'odd', count: 1e12 }));
    for (let round = 0; round < 10; round += 1)
      expect((await send(reportOf({ relay: `liar-${round}`, reads: many }))).status).toBe(204);
    const rows = await recorded();
    expect(rows).toContainEqual({ workload: READER, variant: 'odd', count: 1e12 });
  });

  it('of one more relay than there is room for is taken in place of one that is silent', async () => {
    const first = reportOf({ relay: 'pod-0', reads: [] });
    await send(first);
    const row = await t.broker.store.read
      .selectFrom('relays')
      .selectAll()
      .where('relay', '=', 'pod-0')
      .executeTakeFirstOrThrow();
    await t.broker.store.writer.write(async (tx) => {
      const { count } = await tx
        .selectFrom('relays')
        .select((e) => e.fn.countAll<number>().as('count'))
        .executeTakeFirstOrThrow();
      for (let pod = 1; pod <= 1000 - Number(count); pod += 1)
        await tx
          .insertInto('relays')
          .values({ ...row, relay: `pod-${pod}`, reported_ms: row.reported_ms + pod })
          .execute();
      await tx
        .updateTable('relays')
        .set({ reported_ms: row.reported_ms })
        .where('relay', '!=', 'pod-0')
        .execute();
      await tx
        .updateTable('relays')
        .set({ reported_ms: row.reported_ms - 1 })
        .where('relay', '=', 'pod-0')
        .execute();
    }, 'scheduled');
    const refused = await send(reportOf({ relay: 'pod-new', reads: [] }));
    expect([refused.status, refused.body.code]).toEqual([429, 'rate_limited']);
    t.clock.advance(60_000);
    expect((await send(reportOf({ relay: 'pod-new', reads: [] }))).status).toBe(204);
    expect((await relays()).map(({ relay }: { relay: string }) => relay)).toEqual(['pod-new']);
    // The one that was silent for longest has made room, and comes back as any other.
    expect((await send(first)).status).toBe(204);
  });

  it('says which relay serves which version, until it is silent for a while', async () => {
    t.clock.advance(60_000);
    expect(await relays()).toEqual([]);
    await send(reportOf({ version: 7, reads: [] }));
    await send(reportOf({ relay: 'eu-2', version: 6, reads: [] }));
    const principal = decodeJwt(await readerToken(t)).sub;
    expect(await relays()).toMatchObject([
      { relay: 'eu-1', principal, environment: 'production', version: 7, digest: DIGEST },
      { relay: 'eu-2', principal, environment: 'production', version: 6 },
    ]);
    const stranger = await t.people.idToken('casey', {
      claims: { groups: [], sub: 'x', employee_id: 'emp-9998' },
    });
    expect(await relays(stranger)).toEqual([]);
    t.clock.advance(30_000);
    await send(reportOf({ version: 8, reads: [] }));
    t.clock.advance(16_000);
    expect(await relays()).toMatchObject([{ relay: 'eu-1', version: 8 }]);
  });

  it.each<[string, () => Report]>([
    ['another environment', () => ({ reads: [read({ environment: 'staging' })] })],
    ['a negative count', () => ({ reads: [read({ count: -1 })] })],
    ['no count', () => ({ reads: [read({ count: 0 })] })],
    ['a count that is no number', () => ({ reads: [read({ count: 1e300 })] })],
    ['a read of the future', () => ({ reads: [read({ last_ms: t.clock() + 120_000 })] })],
    ['a read of long ago', () => ({ reads: [read({ first_ms: 0, last_ms: 0 })] })],
    [
      'an end before its beginning',
      () => ({ reads: [read({ first_ms: t.clock(), last_ms: t.clock() - 1 })] }),
    ],
    ['a variant without a flag', () => ({ reads: [read({ flag: null })] })],
    ['a member that is not known', () => ({ reads: [read({ admin: true })] })],
    [
      'too many reads',
      () => ({ reads: Array.from({ length: 1001 }, () => ({ ...read(), workload: null })) }),
    ],
    ['a version of the future', () => ({ served_ms: t.clock() + 120_000 })],
    ['a version below zero', () => ({ version: -1 })],
    ['a name that breaks lines', () => ({ relay: 'eu-1\n' })],
    ['an id that is none', () => ({ id: 'again' })],
  ])('of %s is refused, whole', async (_, changes) => {
    const before = await relays();
    const { status, body } = await send(reportOf({ relay: 'eu-9', ...changes() }));
    expect([400, 413]).toContain(status);
    expect(['invalid_request', 'payload_too_large']).toContain(body.code);
    expect(await relays()).toEqual(before);
  });

  it('is only taken of who reads all namespaces of the environment', async () => {
    expect((await send(reportOf(), 'not.a.token')).status).toBe(401);
    expect((await send(reportOf(), await readerToken(t, 'data:staging'))).status).toBe(404);
    expect((await send(reportOf(), await t.workloadToken('payments'))).status).toBe(401);
    const narrow = await t.people.idToken('dana');
    expect((await send(reportOf(), narrow)).status).toBe(401);
  });
});
