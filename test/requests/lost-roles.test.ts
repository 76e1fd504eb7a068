import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { approve, createFlag, creation, propose, readRequest } from '../support/flags.ts';
import { readRecords } from '../support/sqlite/rows.ts';

/*
 * What was granted then need not be granted now: a request that waits is decided at apply with the groups that its people
 * were last seen with, and can be stopped until then.
 */

let t: TestBroker;
let flags = 0;

const HOUR_MS = 3_600_000;

beforeAll(async () => {
  t = await startTestBroker();
});

afterAll(() => t.close());

/** A request to enable a flag of its own in an hour. */
async function scheduled(tier = 'operational', who = 'dana'): Promise<Reply['body']> {
  flags += 1;
  const flag = await createFlag(t, `waits-${flags}`, { tier });
  const { status, body } = await propose(
    t,
    [{ action: 'enable', flag }],
    { start_ms: t.clock() + HOUR_MS },
    who,
  );
  expect(status, JSON.stringify(body)).toBe(201);
  return body;
}

/** Somebody signs in, and their provider names these groups. */
async function seenWith(who: string, groups: string[]): Promise<void> {
  t.clock.advance(1000);
  await t.call(await t.people.idToken(who, { claims: { groups } }), 'GET', '/v1/requests');
  await t.broker.scheduler.tick();
}

async function startCame(): Promise<void> {
  t.clock.advance(HOUR_MS);
  await t.broker.scheduler.tick();
}

describe('a request that waits for its start', () => {
  it('is applied when its people still have their roles', async () => {
    const request = await scheduled();
    expect((await approve(t, 'alex', request)).body.state).toBe('ready');
    await seenWith('alex', ['payments-approvers']);
    await startCame();
    expect((await readRequest(t, request.id)).state).toBe('applied');
    const record = readRecords(t.file).findLast(({ operation }) => operation === 'request.apply');
    expect(record).toBeDefined();
  });

  it('waits for another approver when the role of its approver is lost by then, and says so', async () => {
    const request = await scheduled();
    expect((await approve(t, 'alex', request)).body.state).toBe('ready');
    await seenWith('alex', ['payments-developers']);
    await startCame();
    const after = await readRequest(t, request.id);
    expect(after.state).toBe('pending');
    expect(after.standing.reasons.map(({ code }: { code: string }) => code)).toContain('approver_lost_role');
    expect(after.standing.obligations).toEqual([{ kind: 'approval', role: 'flag-approver', count: 1 }]);
    expect((await approve(t, 'sam+mfa', request)).body.state).toBe('applied');
    await seenWith('alex', ['payments-approvers']);
  });

  it('does not take the role back from a token that was issued before the role was lost', async () => {
    const before = await t.people.idToken('alex', { claims: { groups: ['payments-approvers'] } });
    const request = await scheduled();
    expect((await approve(t, before, request)).body.state).toBe('ready');
    t.clock.advance(1000);
    await seenWith('alex', ['payments-developers']);
    await t.call(before, 'GET', '/v1/requests');
    await t.broker.scheduler.tick();
    await startCame();
    expect((await readRequest(t, request.id)).state).toBe('pending');
    // What is in memory makes no difference, nor that the older token is used again to approve.
    await t.restart();
    await approve(t, before, request);
    await startCame();
    await startCame();
    expect((await readRequest(t, request.id)).state).toBe('pending');
    await seenWith('alex', ['payments-approvers']);
  });

  it('is not applied when the author lost the role to propose, and says so', async () => {
    const request = await scheduled('informational');
    expect(request.state).toBe('ready');
    await seenWith('dana', []);
    await startCame();
    const after = (await t.call('alex', 'GET', `/v1/requests/${request.id}`)).body;
    expect(after.state).toBe('ready');
    expect(after.standing.effect).toBe('deny');
    expect(after.standing.reasons.map(({ code }: { code: string }) => code)).toContain('proposer_lost_role');
    await seenWith('dana', ['payments-developers']);
    await startCame();
    expect((await readRequest(t, request.id)).state).toBe('applied');
  });

  it.each(['operational', 'informational'])(
    'can be rejected by those who could have approved one of its tier: %s',
    async (tier) => {
      const request = await scheduled(tier);
      if (tier === 'operational') await approve(t, 'alex', request);
      expect((await readRequest(t, request.id)).state).toBe('ready');
      const order = { digest: request.digest, comment: 'not today' };
      const path = `/v1/requests/${request.id}/reject`;
      for (const who of ['dana', 'avery']) expect((await t.call(who, 'POST', path, order)).status).toBe(403);
      expect((await t.call('alex', 'POST', path, order)).body.state).toBe('rejected');
      await startCame();
      expect((await readRequest(t, request.id)).state).toBe('rejected');
    },
  );
});

it('a request that waits for nothing but a call needs no approval, so nobody rejects it', async () => {
  const { body } = await propose(t, [creation('manual', { tier: 'informational' })], { apply: 'manual' });
  const { status } = await t.call('alex', 'POST', `/v1/requests/${body.id}/reject`, {
    digest: body.digest,
    comment: 'no',
  });
  expect(status).toBe(403);
});
