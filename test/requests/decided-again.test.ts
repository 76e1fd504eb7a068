import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { insertFreeze } from '../../src/store/emergency.ts';
import { activateElsewhere, type Config, withConfig } from '../support/activation.ts';
import { type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { approve, createFlag, propose, readRequest, TICKET } from '../support/flags.ts';

/*
 * An earlier allow is never carried over (design invariant 6): between the approvals and the write, the policy, the
 * roles in it, the clock or a freeze may have changed.
 */

let t: TestBroker;

beforeEach(async () => {
  t = await startTestBroker();
  await createFlag(t, 'checkout');
  await createFlag(t, 'ledger', { tier: 'sensitive' });
});

afterEach(() => t.close());

/** Makes the policy with edited data the active one, as an activation does. */
async function activate(edit: (config: Config) => void): Promise<string> {
  const present = await readFile(join(t.folder, 'bundle.tar.gz'));
  return activateElsewhere(t.broker.store, await withConfig(present, edit), t.clock());
}

function withoutGroup(group: string): (config: Config) => void {
  return (config) => {
    for (const groups of Object.values(
      config.role_bindings?.groups as Record<string, Record<string, unknown>>,
    )) {
      delete groups[group];
    }
  };
}

/** A request that has all it needs and waits for a call. */
async function approvedAndWaiting(flag = 'checkout'): Promise<Reply['body']> {
  const { body } = await propose(t, [{ action: 'enable', flag }], { apply: 'manual', ticket: TICKET });
  const answer = await approve(t, 'alex', body);
  expect(answer.body.state).toBe('ready');
  return answer.body;
}

function apply(request: Reply['body'], who = 'dana'): Promise<Reply> {
  return t.call(who, 'POST', `/v1/requests/${request.id}/apply`);
}

async function expectStillOff(flag = 'checkout'): Promise<void> {
  const { body } = await t.call('avery', 'GET', `/v1/flags/${flag}`);
  expect(body.states.production).toMatchObject({ enabled: false, version: 1 });
}

describe('apply asks the policy that is active then', () => {
  it('and an approval does not count when its approver has lost the role', async () => {
    const request = await approvedAndWaiting();
    const hash = await activate(withoutGroup('payments-approvers'));
    const { status, body } = await apply(request);
    expect(status).toBe(403);
    expect(body).toMatchObject({ policy_hash: hash, gates: [{ code: 'approval_required' }] });
    await expectStillOff();
    expect(await readRequest(t, request.id)).toMatchObject({
      state: 'pending',
      standing: { policy_hash: hash },
    });
    expect((await approve(t, 'sam', request)).body.state).toBe('ready');
  });

  it('and the request is denied when its proposer has lost the role', async () => {
    const request = await approvedAndWaiting();
    await activate(withoutGroup('payments-developers'));
    const { body } = await apply(request, 'sam');
    expect(body).toMatchObject({ code: 'policy_denied', reasons: [{ code: 'proposer_lost_role' }] });
    const record = await t.call('avery', 'GET', `/v1/decisions/${body.decision_id}`);
    expect(record.body).toMatchObject({
      outcome: { effect: 'deny' },
      request: { from: 'ready', to: 'ready' },
    });
    await expectStillOff();
  });

  it('and a stricter tier asks for more than was given', async () => {
    const request = await approvedAndWaiting();
    await activate((config) => {
      const tiers = config.tiers as unknown as Record<
        string,
        Record<string, Record<string, { approvals: unknown }>>
      >;
      const rule = tiers.operational?.production?.raise;
      if (rule !== undefined) rule.approvals = { 'flag-approver': 2 };
    });
    expect((await apply(request)).body.gates).toMatchObject([{ code: 'approval_required' }]);
    await expectStillOff();
  });

  it('and a workload whose trust rule is gone may neither apply nor have proposed', async () => {
    const { body } = await propose(
      t,
      [{ action: 'enable', flag: 'checkout' }],
      { apply: 'manual' },
      await t.workloadToken(),
    );
    await approve(t, 'alex', body);
    await activate((config) => {
      delete config.trust_rules?.['payments-deploy'];
    });
    expect((await apply(body, 'sam')).body.reasons).toMatchObject([{ code: 'proposer_lost_role' }]);
    await expectStillOff();
  });

  it('and so does the scheduler', async () => {
    const start_ms = t.clock() + 60_000;
    const { body } = await propose(t, [{ action: 'enable', flag: 'checkout' }], { start_ms });
    await approve(t, 'alex', body);
    await activate(withoutGroup('payments-approvers'));
    t.clock.set(start_ms);
    await t.broker.scheduler.tick();
    expect(await readRequest(t, body.id)).toMatchObject({ state: 'pending', standing: { effect: 'hold' } });
    await expectStillOff();
  });

  it('after a restart too, whatever the file on disk says', async () => {
    const request = await approvedAndWaiting();
    const hash = await activate(withoutGroup('payments-approvers'));
    await t.restart();
    expect(t.broker.policy).toMatchObject({ kind: 'differs', hash });
    expect((await apply(request)).status).toBe(403);
    await expectStillOff();
  });
});

describe('apply reads the clock then', () => {
  it('and a window that has closed holds it', async () => {
    const request = await approvedAndWaiting('ledger');
    t.clock.set(Date.UTC(2026, 10, 20, 23));
    const { status, body } = await apply(request);
    expect(status).toBe(403);
    expect(body.gates).toMatchObject([{ code: 'window_closed', cleared_by: 'time' }]);
    await expectStillOff('ledger');
  });

  it.each([
    ['is still open', -1, { status: 200, state: 'applied' }],
    ['closes in the very minute of the call: the end is not inside', 0, { status: 403, state: undefined }],
  ])('and a window that %s', async (_what, offsetMs, expected) => {
    const request = await approvedAndWaiting('ledger');
    await activate((config) => {
      delete config.windows?.['business-hours-new-york'];
      const tiers = config.tiers as unknown as Record<
        string,
        Record<string, Record<string, { windows: string[] }>>
      >;
      const rule = tiers.sensitive?.production?.raise;
      if (rule !== undefined) rule.windows = ['business-hours-berlin'];
    });
    t.clock.set(Date.UTC(2026, 10, 18, 15) + offsetMs);
    const { status, body } = await apply(request);
    expect({ status, state: body.state }).toEqual(expected);
  });
});

describe('apply reads the freezes then', () => {
  const FREEZE = { scope: 'flag', flag: 'checkout', incident: 'I-1', reason: 'x' };
  const freeze = () => t.call('riley', 'POST', '/v1/freezes', FREEZE);

  /** Queues writes at the writer while it is busy, one after the other, then lets it go on: they share a batch. */
  async function inOneBatch<T extends readonly (() => Promise<unknown>)[]>(
    ...sends: T
  ): Promise<{ [K in keyof T]: Awaited<ReturnType<T[K]>> }> {
    const { writer } = t.broker.store;
    const writes = vi.spyOn(writer, 'write');
    const { promise: busy, resolve: goOn } = Promise.withResolvers<void>();
    const answers: Promise<unknown>[] = [];
    const held = writer.write(() => busy);
    for (const send of sends) {
      answers.push(send());
      await vi.waitFor(() => expect(writes).toHaveBeenCalledTimes(1 + answers.length));
    }
    writes.mockRestore();
    goOn();
    await held;
    return (await Promise.all(answers)) as never;
  }

  it('and one that is queued before it wins', async () => {
    const request = await approvedAndWaiting();
    const [frozen, answer] = await inOneBatch(freeze, () => apply(request));
    expect(frozen.status).toBe(201);
    expect(answer).toMatchObject({ status: 403, body: { reasons: [{ code: 'frozen' }] } });
    await expectStillOff();
  });

  it('and one that is queued after it wins, too, because emergencies go first', async () => {
    const request = await approvedAndWaiting();
    const [answer, frozen] = await inOneBatch(() => apply(request), freeze);
    expect(frozen.status).toBe(201);
    expect(answer).toMatchObject({ status: 403, body: { reasons: [{ code: 'frozen' }] } });
    await expectStillOff();
  });

  it('in the transaction of the write: a row that nobody has committed yet counts', async () => {
    const request = await approvedAndWaiting();
    const row = {
      ...FREEZE,
      id: '0190b6ac-0000-7000-8000-000000000001',
      environment: null,
      namespace: null,
      engaged_by: '{}',
      engaged_ms: t.clock(),
      lifted_ms: null,
      lifted_by_request: null,
    };
    const [, answer] = await inOneBatch(
      () => t.broker.store.writer.write((tx) => insertFreeze(tx, row)),
      () => apply(request),
    );
    expect(answer).toMatchObject({ status: 403, body: { reasons: [{ code: 'frozen' }] } });
    await expectStillOff();
  });
});
