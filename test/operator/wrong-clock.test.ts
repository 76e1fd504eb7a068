import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LEEWAY_S, MAX_TOKEN_AGE_S } from '../../src/identity/verify-token.ts';
import { STEADY_MS } from '../../src/store/passed-time.ts';
import { claimsOf, revoke, status } from '../revocation/support.ts';
import { startSignInBench } from '../sessions/support.ts';
import { exchange, startTestBroker, type TestBroker } from '../support/broker.ts';
import { createFlag, propose, readRequest } from '../support/flags.ts';
import { readLog } from '../support/log-oracle.ts';
import { act, actOffline } from '../support/operator.ts';
import { passTime, record } from '../support/pass-time.ts';
import { countsOf } from '../support/sqlite/rows.ts';

/* A wall clock that jumps ahead and comes back, or is set back, takes no protection away. */

const DAY_MS = 24 * 3_600_000;
const ISSUER = 'https://countersign.example';

let t: TestBroker;

beforeEach(async () => {
  t = await startTestBroker({ config: { public_url: ISSUER } });
});
afterEach(() => t.close());

/** The clock is days ahead for some hours, while the broker runs. */
async function jumpAndReturn({ records }: { records: boolean }): Promise<void> {
  const backMs = t.clock();
  t.clock.advance(3 * DAY_MS);
  for (let look = 0; look < 10; look += 1) {
    t.clock.advance(30 * 60_000);
    if (records) await record(t);
    await t.broker.scheduler.tick();
  }
  t.clock.set(backMs + 1000);
  await t.broker.scheduler.tick();
}

describe.each([
  { records: false, how: 'and nobody wrote meanwhile' },
  { records: true, how: 'and was accepted after records were written meanwhile' },
])('after a clock that jumped ahead and came back, $how,', ({ records }) => {
  async function jump(): Promise<void> {
    await jumpAndReturn({ records });
    if (records) expect(await actOffline(t, 'accept-clock')).toMatchObject({ code: 0 });
  }

  it('a used single-use token is not exchanged again', async () => {
    const token = await t.ci.token();
    expect((await exchange(t.url, token)).status).toBe(200);
    await jump();
    const again = await exchange(t.url, token);
    expect([again.status, again.body.error]).toEqual([400, 'invalid_request']);
    expect((await exchange(t.url, await t.ci.token())).status).toBe(200);
  });

  it('a revoked token stays revoked', async () => {
    const [revoked, other] = [await t.workloadToken(), await t.workloadToken()];
    const { jti } = claimsOf(revoked);
    expect((await revoke(t, 'token', `${ISSUER}#jti:${jti}`)).status).toBe(201);
    await jump();
    // The list of revocations is in memory, too.
    await t.restart();
    expect(await status(t, revoked)).toBe(401);
    expect(await status(t, other)).toBe(200);
  });

  it('a retry is still answered as the first time', async () => {
    const flag = await createFlag(t, 'retried');
    const body = { environment: 'production', reason: 'x', changes: [{ action: 'enable', flag }] };
    const send = () => t.call('dana', 'POST', '/v1/requests', body, { 'Idempotency-Key': 'k' });
    const first = await send();
    await jump();
    expect((await send()).body.id).toBe(first.body.id);
  });
});

it('what is over is deleted after the clock has run without a jump for some hours, and not before', async () => {
  await exchange(t.url, await t.ci.token());
  await passTime(t, 24 * 3_600_000);
  expect(countsOf(t.file, ['usedTokens'])).toEqual({ usedTokens: 1 });
  await passTime(t, 2 * 3_600_000);
  expect(countsOf(t.file, ['usedTokens'])).toEqual({ usedTokens: 0 });
});

it('a revoked token stays revoked when the clock was months ahead for as long as the token lives', async () => {
  const token = await t.people.idToken('dana', {
    claims: { exp: Math.floor(t.clock() / 1000) + DAY_MS / 1000 },
  });
  expect(await status(t, token)).toBe(200);
  await revoke(t, 'token', `${t.people.issuer}#jti:${claimsOf(token).jti}`);
  const backMs = t.clock();
  t.clock.advance(90 * DAY_MS);
  await passTime(t, DAY_MS - 3_600_000);
  t.clock.set(backMs + DAY_MS - 3_600_000);
  expect(await actOffline(t, 'accept-clock')).toMatchObject({ code: 0 });
  await t.restart();
  expect(await status(t, token)).toBe(401);
  expect(await status(t, await t.people.idToken('dana'))).toBe(200);
  expect(STEADY_MS).toBeGreaterThan((MAX_TOKEN_AGE_S + LEEWAY_S) * 1000);
});

describe('a break-glass session', () => {
  const order = { incident: 'INC-9', reason: 'money leaves twice' };
  const open = () => t.call('riley+mfa', 'POST', '/v1/break-glass', order);
  const apply = (id: string) =>
    t.call('riley', 'POST', `/v1/break-glass/${id}/apply`, {
      environment: 'production',
      changes: [{ action: 'disable', flag: 'payouts' }],
    });

  it('that was opened while the clock was ahead is none afterwards, not even when its time comes', async () => {
    await createFlag(t, 'payouts');
    const backMs = t.clock();
    t.clock.advance(2 * DAY_MS);
    const { body } = await open();
    t.clock.set(backMs);
    expect((await apply(body.id)).body.code).toBe('clock_behind');
    await actOffline(t, 'accept-clock');
    expect((await apply(body.id)).body.code).toBe('state_conflict');
    t.clock.set(body.opened_ms);
    expect((await apply(body.id)).body.code).toBe('state_conflict');
  });

  it('that is over does not begin again when the clock is set back', async () => {
    await createFlag(t, 'payouts');
    const { body } = await open();
    const openedMs = t.clock();
    t.clock.set(body.expires_ms);
    await record(t);
    t.clock.set(openedMs + 1000);
    expect((await apply(body.id)).body.code).toBe('clock_behind');
  });
});

describe('a browser session', () => {
  it('that was opened or used in the future is none', async () => {
    const bench = await startSignInBench();
    const { clock } = bench.t;
    const { browser } = await bench.signIn('dana');
    const call = async () => (await bench.call(browser, 'GET', '/v1/whoami')).status;
    const openedMs = clock();
    expect(await call()).toBe(200);
    clock.set(openedMs - 60_000);
    expect(await call()).toBe(401);
    clock.set(openedMs + 20 * 60_000);
    expect(await call()).toBe(200);
    clock.set(openedMs + 60_000);
    expect(await call()).toBe(401);
    clock.set(openedMs + 20 * 60_000);
    expect(await call()).toBe(200);
    await bench.close();
  });
});

describe('a clock that is behind the last record', () => {
  it('stops writes and not reads, and says so, until it is ahead again', async () => {
    const lastMs = t.clock();
    await record(t);
    const ready = async (query = '') => {
      const { status: code, body } = await t.call(null, 'GET', `/readyz${query}`);
      return [code, body.status, body.refusal?.code];
    };
    expect(await ready('?for=writes')).toEqual([200, 'ready', undefined]);
    t.clock.set(lastMs - 5001);
    expect(await ready()).toEqual([200, 'ready', undefined]);
    expect(await ready('?for=writes')).toEqual([503, 'not_ready', 'clock_behind']);
    expect(await record(t)).toBe(503);
    expect((await t.call('dana', 'GET', '/v1/flags?environment=production')).status).toBe(200);
    t.clock.set(lastMs);
    expect(await ready('?for=writes')).toEqual([200, 'ready', undefined]);
    expect(await record(t)).toBe(200);
    expect((await t.call(null, 'GET', '/readyz?for=write')).body.code).toBe('invalid_request');
  });

  it('is accepted by an operator alone, who is recorded, and the order stays that of places', async () => {
    await createFlag(t, 'payouts', { tier: 'high-risk' });
    const { body } = await propose(t, [{ action: 'enable', flag: 'payouts' }]);
    const approve = (who: string) =>
      t.call(who, 'POST', `/v1/requests/${body.id}/approve`, { digest: body.digest });
    const backMs = t.clock();
    t.clock.advance(DAY_MS);
    await approve('sam+mfa');
    t.clock.set(backMs);
    const { code, json } = await actOffline(t, 'accept-clock', 'NTP was off, INC-431');
    expect([code, json.last_ms, json.at_ms]).toEqual([0, backMs + DAY_MS, backMs]);
    await approve('alex+mfa');
    const { approvals } = await readRequest(t, body.id);
    expect(approvals.map(({ at_ms }: { at_ms: number }) => at_ms)).toEqual([backMs + DAY_MS, backMs]);
    const shown = await t.call('avery', 'GET', '/v1/decisions?operation=clock.accept');
    expect(shown.body.items).toMatchObject([
      {
        at_ms: backMs,
        principal: { id: 'workload:countersign:operator' },
        outcome: { note: { detail: 'NTP was off, INC-431' } },
      },
    ]);
    expect(readLog(t.file).map(({ place }) => place)).toEqual(readLog(t.file).map((_, index) => index + 1));
  });

  it('is not accepted where it is right, nor while the broker runs, nor without a reason', async () => {
    const right = await actOffline(t, 'accept-clock');
    expect([right.code, right.json.code]).toEqual([5, 'nothing_to_accept']);
    const running = await act(t, 'accept-clock');
    expect([running.code, running.json.detail]).toEqual([1, expect.stringContaining('in use by another')]);
    expect(await actOffline(t, 'accept-clock', '\u200b')).toMatchObject({ code: 2, json: { code: 'usage' } });
    expect(readLog(t.file).some(({ operation }) => operation === 'clock.accept')).toBe(false);
  });
});
