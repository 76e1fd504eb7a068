import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { activateElsewhere, type Config, withConfig } from '../support/activation.ts';
import { type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { approve, createFlag, propose, readFlag, readRequest, TICKET } from '../support/flags.ts';

/*
 * A request that lacks nothing but time waits for it: for a window, for the day after a holiday, for the end of a
 * blackout. Its gates say until when, and then the scheduler applies it.
 */

let t: TestBroker;

const DAY_MS = 86_400_000;
/** The test's clock begins on Wednesday, 18 November 2026, 10:30 in Berlin. */
const BLACKOUT = {
  zone: 'Europe/Berlin',
  start: { date: '2026-11-18', hour: 0, minute: 0 },
  end: { date: '2026-11-19', hour: 24, minute: 0 },
  reason: 'The move to the new data centre.',
};
/** Its end: Friday, midnight in Berlin. */
const END_MS = Date.UTC(2026, 10, 19, 23);

beforeEach(async () => {
  t = await startTestBroker();
  await createFlag(t, 'checkout');
  await createFlag(t, 'ledger', { tier: 'sensitive' });
});

afterEach(() => t.close());

/** Makes the policy with edited data the active one, as an activation does. */
async function activate(edit: (config: Config) => void): Promise<void> {
  const present = await readFile(join(t.folder, 'bundle.tar.gz'));
  await activateElsewhere(t.broker.store, await withConfig(present, edit), t.clock());
}

async function blackOut(row: object = {}): Promise<void> {
  await activate((config) => {
    config.blackouts = { move: { ...BLACKOUT, ...row } };
  });
}

const enable = { action: 'enable', flag: 'checkout' };

async function proposeApproved(flag = 'checkout', content: object = {}): Promise<Reply['body']> {
  const { body } = await propose(t, [{ action: 'enable', flag }], { ticket: TICKET, ...content });
  return (await approve(t, 'alex', body)).body;
}

describe('a blackout', () => {
  it('holds a request, says until when, and the scheduler applies it at the end', async () => {
    await blackOut();
    const request = await proposeApproved();
    expect(request).toMatchObject({
      state: 'ready',
      standing: {
        effect: 'hold',
        reasons: [{ code: 'held_by_blackout', detail: expect.stringContaining(BLACKOUT.reason) }],
      },
      gates: [
        {
          code: 'blackout',
          detail: expect.stringMatching(/: move\. It opens on Fri 20 Nov 2026, 00:00 \(Europe\/Berlin\)\.$/),
          cleared_by: 'time',
          call: null,
          opens_ms: END_MS,
        },
      ],
    });
    t.clock.set(END_MS - 60_000);
    await t.broker.scheduler.tick();
    expect((await readRequest(t, request.id)).state).toBe('ready');
    t.clock.set(END_MS);
    await t.broker.scheduler.tick();
    expect((await readRequest(t, request.id)).state).toBe('applied');
  });

  it('holds a call to apply too, and names the instant in the refusal', async () => {
    const request = await proposeApproved('checkout', { apply: 'manual' });
    await blackOut();
    const { status, body } = await t.call('dana', 'POST', `/v1/requests/${request.id}/apply`);
    expect([status, body.code]).toEqual([403, 'policy_denied']);
    expect(body.gates).toMatchObject([{ code: 'blackout', cleared_by: 'time', opens_ms: END_MS }]);
    expect((await readFlag(t, 'checkout')).states.production).toMatchObject({ enabled: false });
  });

  it('and a window that closes before its end: every gate says when both let it through', async () => {
    await blackOut();
    t.clock.set(Date.UTC(2026, 10, 18, 22));
    const request = await proposeApproved('ledger');
    // The window of Thursday is in the blackout, Friday is no day of a window: Monday, 09:00 in Berlin.
    const opens_ms = Date.UTC(2026, 10, 23, 8);
    expect(request.gates).toMatchObject([
      { code: 'window_closed', opens_ms },
      { code: 'blackout', opens_ms },
    ]);
    t.clock.set(opens_ms - 60_000);
    await t.broker.scheduler.tick();
    expect((await readRequest(t, request.id)).state).toBe('ready');
    t.clock.set(opens_ms);
    await t.broker.scheduler.tick();
    expect((await readRequest(t, request.id)).state).toBe('applied');
  });

  it('lets a safer change pass during an incident, and no other', async () => {
    const on = await proposeApproved();
    expect(on.state).toBe('applied');
    await blackOut();
    const off = [{ action: 'disable', flag: 'checkout' }];
    expect((await propose(t, off)).body.state).toBe('ready');
    const freeze = { scope: 'flag', flag: 'checkout', incident: 'I-1', reason: 'x' };
    expect((await t.call('riley', 'POST', '/v1/freezes', freeze)).status).toBe(201);
    expect((await propose(t, off)).body.state).toBe('applied');
    expect((await propose(t, [enable])).body.code).toBe('policy_denied');
  });

  it('whose end is not within 400 days has no instant, and the request still waits', async () => {
    await blackOut({ end: { date: '2029-01-01', hour: 0, minute: 0 } });
    const request = await proposeApproved();
    expect(request).toMatchObject({ state: 'ready', gates: [{ code: 'blackout', opens_ms: null }] });
    expect(request.gates[0].detail).not.toMatch(/opens/);
  });
});

describe('a holiday', () => {
  it('moves the opening to the next day, and the answer keeps its ETag until then', async () => {
    await activate((config) => {
      config.holidays = {
        germany: { '2026-11-23': 'A holiday' },
        'united-states': { '2026-11-23': 'Another' },
      };
    });
    t.clock.set(Date.UTC(2026, 10, 20, 22));
    const { body } = await propose(t, [{ action: 'enable', flag: 'ledger' }], { ticket: TICKET });
    const gateOf = (request: Reply['body']) =>
      request.gates.find(({ code }: { code: string }) => code === 'window_closed');
    const opens_ms = Date.UTC(2026, 10, 24, 8);
    expect(gateOf(body).opens_ms).toBe(opens_ms);

    const read = () => t.call('dana', 'GET', `/v1/requests/${body.id}`);
    const first = await read();
    t.clock.set(opens_ms - DAY_MS);
    expect((await read()).headers.get('etag')).toBe(first.headers.get('etag'));
    // It still lacks an approval, so nobody has decided again since.
    t.clock.set(opens_ms + 60_000);
    const open = await read();
    expect(gateOf(open.body)).toMatchObject({ opens_ms, detail: expect.stringMatching(/It is open now\.$/) });
    t.clock.set(opens_ms + 120_000);
    expect((await read()).headers.get('etag')).toBe(open.headers.get('etag'));
    expect((await approve(t, 'alex', body)).body.state).toBe('applied');
  });
});

describe('a policy that says something else under these names', () => {
  it('decides as before; the gate has no instant', async () => {
    await activate((config) => {
      for (const window of Object.values(config.windows as Record<string, object>)) {
        Object.assign(window, { season: 'winter' });
      }
    });
    t.clock.set(Date.UTC(2026, 10, 20, 22));
    expect(await proposeApproved('ledger')).toMatchObject({
      state: 'ready',
      gates: [{ code: 'window_closed', opens_ms: null }],
    });
  });
});
