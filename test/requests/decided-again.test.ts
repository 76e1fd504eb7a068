import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { activateElsewhere, type Config, withConfig } from '../support/activation.ts';
import { type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { approve, createFlag, propose, readFlag, readRequest, TICKET } from '../support/flags.ts';

/*
 * A yes from earlier is never carried over (design invariant 6): between the approvals and the write, the policy, the
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
  it('and an approval counts no more when its giver has lost the role', async () => {
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

  it('and a window that closes in the very minute of the call holds it: the end is not inside', async () => {
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
    t.clock.set(Date.UTC(2026, 10, 18, 15));
    expect((await apply(request)).status).toBe(403);
    t.clock.set(Date.UTC(2026, 10, 18, 15) - 1);
    expect((await apply(request)).body.state).toBe('applied');
  });
});

describe('apply reads the freezes then', () => {
  it('and one that is written between queue and apply wins', async () => {
    const request = await approvedAndWaiting();
    // Both wait at the writer in the same turn; the freeze is first in the batch.
    const [frozen, answer] = await Promise.all([
      t.call('riley', 'POST', '/v1/freezes', { scope: 'all', incident: 'I-1', reason: 'x' }),
      new Promise((resolve) => setImmediate(resolve)).then(() => apply(request)),
    ]);
    expect(frozen.status).toBe(201);
    const { items } = (await t.call('avery', 'GET', '/v1/decisions?limit=5')).body;
    const first = items.findLast((item: Reply['body']) =>
      ['freeze.engage', 'request.apply'].includes(item.operation),
    );
    expect(answer.status).toBe(first.operation === 'freeze.engage' ? 403 : 200);
    expect((await readFlag(t, 'checkout')).states.production.enabled).toBe(
      first.operation !== 'freeze.engage',
    );
  });

  it('in the transaction of the write: a row that another write of the same batch has put there counts', async () => {
    const request = await approvedAndWaiting();
    const row = {
      id: '0190b6ac-0000-7000-8000-000000000001',
      scope: 'flag',
      environment: null,
      namespace: null,
      flag: 'checkout',
      incident: 'I-1',
      reason: 'x',
      engaged_by: '{}',
      engaged_ms: t.clock(),
      lifted_ms: null,
      lifted_by_request: null,
    };
    // The first write keeps the writer busy until the call to apply has arrived; the freeze is queued before it.
    const arrived = apply(request);
    const queued = t.broker.store.writer.write(async (tx) => {
      await tx.insertInto('freezes').values(row).execute();
    });
    await queued;
    const answer = await arrived;
    expect(answer.body.reasons).toMatchObject([{ code: 'frozen' }]);
    await expectStillOff();
  });
});
