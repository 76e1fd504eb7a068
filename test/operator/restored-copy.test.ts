import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openLatest } from '../../src/snapshot/latest.ts';
import { introspect, readFlags, revoke, status } from '../revocation/support.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { applyChanges, createFlag, propose, readFlag, readRequest } from '../support/flags.ts';
import { act, actOffline } from '../support/operator.ts';
import { record } from '../support/pass-time.ts';
import { fetchSnapshot, logKeyOf, readerToken, startPublishingBroker } from '../support/snapshots.ts';
import { formerDatabase } from '../support/sqlite/former.ts';
import { readHead } from '../support/sqlite/log.ts';

/* A start on an older copy of the database, or on another history, is noticed, and gives nobody anything back. */

const INCIDENT = { incident: 'INC-9', reason: 'money leaves twice' };

let t: TestBroker;

beforeEach(async () => {
  t = await startPublishingBroker({ public_url: 'https://countersign.example' });
});
afterEach(() => t.close());

const mark = () => `${t.file}.acknowledged`;

/** Keeps a copy of a file of the closed broker. */
async function keep(file: string, as: string): Promise<void> {
  await t.broker.close();
  await cp(file, as);
  await t.restart();
}

/** Replaces files of the closed broker, and starts it again. */
async function restore(...files: [from: string, to: string][]): Promise<void> {
  await t.broker.close();
  for (const [from, to] of files) await cp(from, to);
  await t.restart();
}

async function readiness(query = ''): Promise<unknown[]> {
  const { status: code, body } = await t.call(null, 'GET', `/readyz${query}`);
  return [code, body.refusal?.code];
}

async function expectStopped(): Promise<void> {
  expect(await readiness()).toEqual([200, undefined]);
  expect(await readiness('?for=writes')).toEqual([503, 'restored_copy']);
  expect(await record(t)).toBe(503);
  // A checkpoint would contradict those of the log that was acknowledged.
  const { status: code, body } = await t.call(null, 'GET', '/v1/log');
  expect([code, body.code]).toEqual([503, 'restored_copy']);
}

async function logName(): Promise<{ origin: string; key: string }> {
  const { origin, key } = (await t.call(null, 'GET', '/v1/log')).body;
  return { origin, key };
}

async function expectWriting(): Promise<void> {
  expect(await readiness('?for=writes')).toEqual([200, undefined]);
  expect(await record(t)).toBe(200);
}

describe('a start on a database that lacks what was acknowledged', () => {
  it('serves reads, refuses writes and says so', async () => {
    await createFlag(t, 'nav');
    await keep(t.file, `${t.file}.old`);
    const reader = await t.workloadToken('checkout', { audience: 'data:production' });
    await restore([`${t.file}.old`, t.file]);
    await expectStopped();
    expect((await readFlags(t, reader)).status).toBe(200);
    expect((await readFlag(t, 'nav')).key).toBe('nav');
    const refused = await propose(t, [{ action: 'enable', flag: 'nav' }]);
    expect([refused.status, refused.body.code]).toEqual([503, 'restored_copy']);
    expect(refused.body.detail).toMatch(
      /ends at record \d+, but record \d+ was acknowledged.*accept-restore/,
    );
    // Nothing that time brings is written, and the stop is clean.
    await t.broker.scheduler.tick();
    await t.restart();
    await expectStopped();
  });

  it('is refused where the copy is as long, but has another history', async () => {
    await keep(t.file, `${t.file}.old`);
    const kept = await readFile(mark());
    await record(t);
    await keep(mark(), `${mark()}.other`);
    await writeFile(mark(), kept);
    await restore([`${t.file}.old`, t.file]);
    await writeFile(mark(), kept);
    await t.restart();
    await record(t);
    await restore([`${mark()}.other`, mark()]);
    await expectStopped();
    const { body } = await t.call('avery', 'GET', '/v1/decisions');
    expect(body.detail).toContain('another history');
  });

  it('is refused where the file beside it is missing, damaged or of another installation', async () => {
    await t.broker.close();
    const good = await readFile(mark());
    for (const text of ['', 'x', '{}', JSON.stringify({ ...JSON.parse(String(good)), installation: 'x' })]) {
      await writeFile(mark(), text);
      await t.restart();
      await expectStopped();
    }
    await t.broker.close();
    await rm(mark());
    await t.restart();
    await expectStopped();
    await t.broker.close();
    await writeFile(mark(), good);
    await t.restart();
    await expectWriting();
  });

  it('does not happen to an installation that had no such file yet, nor after a kill', async () => {
    const former = await startTestBroker({
      database: formerDatabase(),
      nowMs: Date.UTC(2026, 10, 18, 9, 40),
    });
    expect((await former.call(null, 'GET', '/readyz?for=writes')).status).toBe(200);
    await former.close();
    await record(t);
    // What a killed process leaves: the file may lag, and never leads.
    await keep(mark(), `${mark()}.lagging`);
    await record(t);
    await restore([`${mark()}.lagging`, mark()]);
    await expectWriting();
  });
});

describe('an accepted restore', () => {
  /** Everything below was decided after the copy, and is missing in it. */
  async function loseDecisions(): Promise<void> {
    await keep(t.file, `${t.file}.old`);
    await t.call('riley', 'POST', '/v1/freezes', { scope: 'all', ...INCIDENT });
    await revoke(t, 'subject', 'dana');
    await restore([`${t.file}.old`, t.file]);
  }

  it('freezes everything until two persons lift it, and is recorded', async () => {
    await createFlag(t, 'nav', { tier: 'informational' });
    const former = await logName();
    await loseDecisions();
    const { code, json } = await actOffline(t, 'accept-restore', 'disk lost, INC-432');
    expect(code).toBe(0);
    t.clock.advance(60_000);
    await expectWriting();
    expect(readHead(t.file)).toMatchObject({ epoch: 2 });
    const { origin, key } = await logName();
    expect(origin).toBe(former.origin.replace(/1$/, '2'));
    expect(key).not.toBe(former.key);
    const denied = await propose(t, [{ action: 'enable', flag: 'nav' }]);
    expect([denied.status, denied.body.code]).toEqual([403, 'policy_denied']);
    const order = { kind: 'freeze.lift', freeze: json.freeze, reason: 'it is over' };
    const { body: lift } = await t.call('riley', 'POST', '/v1/requests', order);
    expect(lift.state).toBe('pending');
    const approve = (who: string) =>
      t.call(who, 'POST', `/v1/requests/${lift.id}/approve`, { digest: lift.digest });
    expect((await approve('riley')).status).toBe(403);
    expect((await approve('sam')).body.state).toBe('applied');
    await applyChanges(t, [{ action: 'enable', flag: 'nav' }]);
    const shown = await t.call('avery', 'GET', '/v1/decisions?operation=restore.accept');
    expect(shown.body.items).toMatchObject([
      { id: json.decision_id, outcome: { note: { detail: 'disk lost, INC-432' } } },
    ]);
    expect((await actOffline(t, 'accept-restore')).code).toBe(5);
  });

  it('voids tokens, signing keys, break-glass sessions and approvals from before', async () => {
    await createFlag(t, 'payouts', { tier: 'high-risk' });
    await applyChanges(t, [{ action: 'enable', flag: 'payouts' }]);
    const { body: request } = await propose(t, [{ action: 'disable', flag: 'payouts' }], {
      start_ms: t.clock() + 3_600_000,
    });
    const { body: session } = await t.call('riley+mfa', 'POST', '/v1/break-glass', INCIDENT);
    const [person, workload] = [await t.people.idToken('dana'), await t.workloadToken()];
    const keys = async () => (await t.call(null, 'GET', '/.well-known/jwks.json')).body.keys;
    const [{ kid }] = await keys();
    await loseDecisions();
    expect(await status(t, person)).toBe(200);
    t.clock.advance(1);
    await actOffline(t, 'accept-restore');
    expect(await status(t, person)).toBe(401);
    expect(await status(t, workload)).toBe(401);
    t.clock.advance(60_000);
    expect(await introspect(t, workload)).toMatchObject({ body: { active: false } });
    expect((await keys()).map((key: { kid: string }) => key.kid)).not.toContain(kid);
    const changes = [{ action: 'disable', flag: 'payouts' }];
    const body = { environment: 'production', changes };
    const applied = await t.call('riley', 'POST', `/v1/break-glass/${session.id}/apply`, body);
    expect(applied.body.code).toBe('state_conflict');
    const { approvals } = await readRequest(t, request.id);
    expect(approvals.filter(({ counts }: { counts: boolean }) => counts)).toEqual([]);
    expect(await status(t, await t.workloadToken())).toBe(200);
  });

  it('is accepted once: a process that ends before it has noted that starts again', async () => {
    await loseDecisions();
    const before = await readFile(mark());
    await t.broker.close();
    expect((await act(t, 'accept-restore')).code).toBe(0);
    await writeFile(mark(), before);
    await t.restart();
    t.clock.advance(60_000);
    await expectWriting();
    // The copy from before stays refused.
    await restore([`${t.file}.old`, t.file]);
    await expectStopped();
  });
});

describe('snapshots', () => {
  const latest = (token: string) => fetchSnapshot(t, token, 'latest.json');
  const refusal = async (token: string) => {
    const { status: code, bytes } = await latest(token);
    return [code, JSON.parse(bytes.toString()).code];
  };

  it('of a restored copy belong to another log, and a reader goes on only with its key', async () => {
    await createFlag(t, 'nav', { tier: 'informational' });
    await t.broker.scheduler.tick();
    const former = await logKeyOf(t);
    const reader = await readerToken(t);
    await keep(t.file, `${t.file}.old`);
    await applyChanges(t, [{ action: 'enable', flag: 'nav' }]);
    await t.broker.scheduler.tick();
    const expected = { environment: 'production', nowMs: t.clock() };
    const seen = await openLatest((await latest(reader)).bytes, { ...expected, keys: [former] });
    await restore([`${t.file}.old`, t.file]);
    await t.broker.scheduler.tick();
    // What it would sign contradicts what was there.
    expect(await refusal(reader)).toEqual([503, 'restored_copy']);
    await actOffline(t, 'accept-restore');
    // The tokens of before are void.
    t.clock.advance(1000);
    const again = await readerToken(t);
    expect(await refusal(again)).toEqual([503, 'snapshot_unavailable']);
    await t.broker.scheduler.tick();
    const { bytes } = await latest(again);
    const open = (keys: (typeof former)[]) =>
      openLatest(bytes, { ...expected, nowMs: t.clock(), keys, after: seen });
    await expect(open([former])).rejects.toMatchObject({ code: 'other_epoch' });
    const next = await open([former, await logKeyOf(t)]);
    expect([next.epoch, next.version]).toEqual([2, seen.version - 1]);
  });
});
