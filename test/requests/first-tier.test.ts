import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { applyChanges, approve, creation, propose, readFlag, TICKET } from '../support/flags.ts';

let t: TestBroker;

beforeAll(async () => {
  t = await startTestBroker();
});

afterAll(() => t.close());

const ENTITLEMENT = { kind: 'entitlement', contract: 'C-17' };
const codesOf = (body: { reasons?: { code: string }[] }) => body.reasons?.map(({ code }) => code);

describe('the first tier of a flag', () => {
  it.each(['informational', 'operational'])('is not left to its author: an %s entitlement', async (tier) => {
    const flag = `seats-${tier}`;
    const changes = [creation(flag, { ...ENTITLEMENT, tier }), { action: 'enable', flag }];
    const { status, body } = await propose(t, changes, { ticket: TICKET });
    expect([status, body.code, codesOf(body)]).toEqual([403, 'policy_denied', ['tier_below_floor']]);
    expect((await t.call('dana', 'GET', `/v1/flags/${flag}`)).status).toBe(404);
  });

  it('takes a second person above informational', async () => {
    const { body } = await propose(t, [creation('seats-new')]);
    expect(body).toMatchObject({ state: 'pending' });
    expect((await approve(t, 'dana', body)).body).toMatchObject({ code: 'policy_denied' });
    expect((await approve(t, 'alex', body)).body).toMatchObject({ state: 'applied' });
  });

  it('stays at the floor: it is neither lowered nor avoided by another kind first', async () => {
    await applyChanges(t, [creation('seats', { ...ENTITLEMENT, tier: 'sensitive' })]);
    const lower = { action: 'update', flag: 'seats', set: { tier: 'informational' } };
    const lowered = await propose(t, [lower], { ticket: TICKET });
    expect([lowered.status, codesOf(lowered.body)]).toEqual([403, ['tier_below_floor']]);

    const both = { action: 'update', flag: 'seats', set: { kind: 'release', tier: 'informational' } };
    const { body } = await propose(t, [both], { ticket: TICKET });
    expect(body).toMatchObject({ state: 'pending' });
    expect(await readFlag(t, 'seats')).toMatchObject({ kind: 'entitlement', tier: 'sensitive' });
  });

  it('becomes a floor for a flag that turns into an entitlement', async () => {
    await applyChanges(t, [creation('turning', { tier: 'informational' })]);
    const turn = { action: 'update', flag: 'turning', set: ENTITLEMENT };
    const { status, body } = await propose(t, [turn], { ticket: TICKET });
    expect([status, codesOf(body)]).toEqual([403, ['tier_below_floor']]);
    const raised = await propose(t, [{ ...turn, set: { ...ENTITLEMENT, tier: 'sensitive' } }], {
      ticket: TICKET,
    });
    expect(raised.body).toMatchObject({ state: 'pending' });
  });
});
