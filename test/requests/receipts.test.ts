import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { checkReceipts, type ServedFlags } from '../../src/requests/receipts.ts';
import { createTerminal } from '../cli/support.ts';
import type { TestBroker } from '../support/broker.ts';
import { applyChanges, createFlag, readRequest } from '../support/flags.ts';
import { readerToken, startPublishingBroker } from '../support/snapshots.ts';

/* What became of a change: read back from what is served, and told by relays. */

let t: TestBroker;
beforeAll(async () => {
  t = await startPublishingBroker();
});
afterAll(() => t.close());

async function change(flag: string, action = 'enable') {
  const { id } = await applyChanges(t, [{ action, flag }]);
  return id as string;
}

async function receiptOf(id: string) {
  const { receipts } = await readRequest(t, id);
  expect(receipts).toHaveLength(1);
  return receipts[0];
}

/** Looks with a data plane that serves what it is told. */
async function lookAt(served: ServedFlags): Promise<string[]> {
  const errors: string[] = [];
  const log = { error: (_: object, text: string) => errors.push(text), warn: () => undefined };
  await checkReceipts({ store: t.broker.store, served, clock: t.clock, log });
  return errors;
}

const OTHER_DIGEST = `sha256:${'0'.repeat(64)}`;

/** The digest of a version, which is published before. */
async function publishedDigest(version: number): Promise<string> {
  return vi.waitFor(async () => {
    await t.broker.scheduler.tick();
    const { digest } = await t.broker.store.read
      .selectFrom('snapshots')
      .select('digest')
      .where('environment', '=', 'production')
      .where('version', '=', version)
      .executeTakeFirstOrThrow();
    return digest;
  });
}

async function report(relay: string, version: number, other?: string): Promise<void> {
  const digest = other ?? (await publishedDigest(version));
  const body = { id: randomUUID(), relay, version, digest, served_ms: t.clock(), reads: [] };
  const { status } = await t.call(await readerToken(t), 'POST', '/snapshots/production/reports', body);
  expect(status).toBe(204);
}

describe('a receipt', () => {
  it('is pending with the change, and verified once it was read back, with equal digests', async () => {
    const flag = await createFlag(t, 'receipt-plain', { tier: 'informational' });
    const id = await change(flag);
    const pending = await receiptOf(id);
    expect(pending).toMatchObject({
      environment: 'production',
      state: 'pending',
      served: null,
      checked_ms: null,
    });
    await t.broker.scheduler.tick();
    const done = await receiptOf(id);
    expect(done).toMatchObject({ state: 'verified', served: pending.written, checked_ms: t.clock() });
    expect(done.written).toEqual([{ flag, version: 2, digest: expect.stringMatching(/^sha256:/) }]);
    expect((await readRequest(t, id)).state).toBe('applied');
  });

  it('survives a crash between the change and the receipt', async () => {
    const flag = await createFlag(t, 'receipt-crash', { tier: 'informational' });
    const id = await change(flag);
    await t.restart();
    expect((await receiptOf(id)).state).toBe('pending');
    await t.broker.scheduler.tick();
    expect((await receiptOf(id)).state).toBe('verified');
  });

  it('is verified if a later change is served, and tells of both', async () => {
    const flag = await createFlag(t, 'receipt-later', { tier: 'informational' });
    const first = await change(flag);
    await change(flag, 'disable');
    await t.broker.scheduler.tick();
    const { state, written, served } = await receiptOf(first);
    expect([state, written[0].version, served[0].version]).toEqual(['verified', 2, 3]);
    expect(served[0].digest).not.toBe(written[0].digest);
  });

  it('is diverged if something else is served, whatever is served later', async () => {
    const flag = await createFlag(t, 'receipt-other', { tier: 'informational' });
    await t.broker.scheduler.tick();
    const id = await change(flag);
    const other = new Map([[flag, { state: { enabled: false }, version: 2 }]]);
    expect(await lookAt(() => ({ version: 1_000_000, flags: other }))).toEqual([
      'what is served is not what a request has written',
    ]);
    const { state, written, served } = await receiptOf(id);
    expect(state).toBe('diverged');
    expect(served).toEqual([{ flag, version: 2, digest: expect.not.stringContaining(written[0].digest) }]);
    await t.broker.scheduler.tick();
    expect((await receiptOf(id)).state).toBe('diverged');
  });

  it.each<[string, number | null]>([
    ['does not have the flag', null],
    ['has an earlier version of it', 1],
  ])('is diverged if what is served %s', async (what, version) => {
    const flag = await createFlag(t, `receipt-${what.length}`, { tier: 'informational' });
    const id = await change(flag);
    const flags = new Map(version === null ? [] : [[flag, { state: {}, version }]]);
    await lookAt(() => ({ version: 1_000_000, flags }));
    expect((await receiptOf(id)).state).toBe('diverged');
  });

  it('is unverified after a while without an answer, and verified when there is one', async () => {
    const flag = await createFlag(t, 'receipt-late', { tier: 'informational' });
    const id = await change(flag);
    await lookAt(() => undefined);
    expect((await receiptOf(id)).state).toBe('pending');
    t.clock.advance(30_000);
    // The former version is served.
    await lookAt(() => ({ version: 0, flags: new Map() }));
    expect((await receiptOf(id)).state).toBe('unverified');
    await t.broker.scheduler.tick();
    expect((await receiptOf(id)).state).toBe('verified');
  });

  it('tells when the first and the last relay served it, and which of them lag', async () => {
    const flag = await createFlag(t, 'receipt-relays', { tier: 'informational' });
    t.clock.advance(60_000);
    const { version: before } = await receiptOf(await change(flag));
    await report('near', before);
    await report('far', before);
    const id = await change(flag, 'disable');
    expect((await receiptOf(id)).relays).toEqual({
      ...{ connected: 2, waiting: ['far', 'near'] },
      ...{ first_served_ms: null, last_served_ms: null, first_after_ms: null, last_after_ms: null },
    });
    t.clock.advance(40);
    await report('near', before + 1);
    t.clock.advance(60);
    expect((await receiptOf(id)).relays).toMatchObject({
      waiting: ['far'],
      first_after_ms: 40,
      last_after_ms: 40,
    });
    await report('far', before + 1);
    expect((await receiptOf(id)).relays).toMatchObject({
      waiting: [],
      first_after_ms: 40,
      last_after_ms: 100,
    });
    // What they report again is no other time.
    await report('near', before + 1);
    expect((await receiptOf(id)).relays).toMatchObject({ first_after_ms: 40, last_after_ms: 100 });
  });
});

describe('a relay that serves another history', () => {
  it.each([
    ['with the same number', 0],
    ['with a higher number', 7],
  ])('%s is waited for, and is no first one', async (what, ahead) => {
    t.clock.advance(60_000);
    const flag = await createFlag(t, `receipt-history-${ahead}`, { tier: 'informational' });
    const id = await change(flag);
    const { version } = await receiptOf(id);
    await publishedDigest(version);
    await report(`lost-${what.length}`, version + ahead, OTHER_DIGEST);
    expect((await receiptOf(id)).relays).toMatchObject({
      waiting: [`lost-${what.length}`],
      first_served_ms: null,
    });
    await report('near', version);
    expect((await receiptOf(id)).relays).toMatchObject({ connected: 2, first_served_ms: t.clock() });
  });
});

describe('propose --wait=served', () => {
  const words = (flag: string, action: string) =>
    [
      'propose',
      '--environment',
      'production',
      '--reason',
      'a test',
      `--${action}`,
      flag,
      '--wait=served',
    ] as const;
  const waiting = (meanwhile: (sleeps: number) => Promise<unknown>) => {
    let sleeps = 0;
    return createTerminal(t, {
      sleep: async (ms) => {
        sleeps += 1;
        t.clock.advance(ms);
        await meanwhile(sleeps);
      },
    });
  };
  const versionNow = async () =>
    (await receiptOf(await change(await createFlag(t, `receipt-${randomUUID()}`, { tier: 'informational' }))))
      .version as number;

  it('ends with 0 once it was read back and every connected relay serves it', async () => {
    t.clock.advance(60_000);
    const flag = await createFlag(t, 'receipt-wait', { tier: 'informational' });
    const version = await versionNow();
    await report('eu-1', version);
    const terminal = waiting(async (sleeps) => {
      await t.broker.scheduler.tick();
      if (sleeps === 3) await report('eu-1', version + 1);
    });
    const run = await terminal.as('dana', ...words(flag, 'enable'), '--json');
    expect([run.code, run.json.state, run.json.receipts[0].state]).toEqual([0, 'applied', 'verified']);
    expect(run.err).toContain('not served by the relays eu-1');
    expect(run.err).toContain('by the last relay');
  });

  it('ends with 9 when a relay lags for too long, and names it', async () => {
    t.clock.advance(60_000);
    const flag = await createFlag(t, 'receipt-lag', { tier: 'informational' });
    const version = await versionNow();
    await report('us-1', version);
    const terminal = waiting(async () => {
      await t.broker.scheduler.tick();
      await report('us-1', version);
    });
    const run = await terminal.as('dana', ...words(flag, 'enable'), '--timeout', '20s', '--json');
    expect([run.code, run.json.state]).toEqual([9, 'applied']);
    expect(run.json.receipts[0].relays.waiting).toEqual(['us-1']);
    expect(run.err).toContain('Timed out. The request is applied. Not everywhere served');
  });

  it('does not wait for relays that are gone, and lists those that are there', async () => {
    t.clock.advance(60_000);
    const flag = await createFlag(t, 'receipt-gone', { tier: 'informational' });
    await report('ap-1', 1, OTHER_DIGEST);
    expect((await createTerminal(t).as('dana', 'relays')).out).toMatch(/production +ap-1 +1 /);
    t.clock.advance(46_000);
    const run = await waiting(() => t.broker.scheduler.tick()).as('dana', ...words(flag, 'enable'), '--json');
    expect([run.code, run.json.receipts[0].relays.connected]).toEqual([0, 0]);
    expect((await createTerminal(t).as('dana', 'relays')).out).toContain('No relay has reported');
  });
});
