import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import {
  applyChanges,
  approve,
  countRows,
  createFlag,
  creation,
  propose,
  readFlag,
  readRequest,
} from '../support/flags.ts';

let t: TestBroker;

beforeEach(async () => {
  t = await startTestBroker();
  await createFlag(t, 'checkout');
  await createFlag(t, 'plain', { tier: 'informational' });
});

afterEach(() => t.close());

const INCIDENT = { incident: 'INC-7', reason: 'payments fail' };

function engage(scope: Record<string, unknown>, who = 'riley'): Promise<Reply> {
  return t.call(who, 'POST', '/v1/freezes', { ...scope, ...INCIDENT });
}

async function enabled(flag: string, environment = 'production'): Promise<boolean> {
  return (await readFlag(t, flag)).states[environment].enabled;
}

function lift(freeze: string, who = 'riley'): Promise<Reply> {
  return t.call(who, 'POST', '/v1/requests', { kind: 'freeze.lift', freeze, reason: 'it is over' });
}

describe('a freeze', () => {
  it('is engaged by one entitled person, and refuses every write that it covers', async () => {
    expect((await engage({ scope: 'all' })).status).toBe(201);
    for (const changes of [
      [{ action: 'enable', flag: 'plain' }],
      [
        { action: 'set_audience', flag: 'plain', audience: { kind: 'none' } },
        { action: 'enable', flag: 'plain' },
      ],
      [{ action: 'update', flag: 'plain', set: { owner: 'x' } }],
      [{ action: 'retire', flag: 'plain' }],
    ]) {
      const { status, body } = await propose(t, changes);
      expect({ status, code: body.code }).toEqual({ status: 403, code: 'policy_denied' });
      expect(body.gates).toContainEqual(
        expect.objectContaining({ code: 'frozen', cleared_by: 'flag-emergency-override' }),
      );
    }
    expect(await enabled('plain')).toBe(false);
  });

  it.each(['dana', 'alex', 'avery', 'casey'])('is not engaged by %s', async (who) => {
    expect((await engage({ scope: 'all' }, who)).status).toBe(403);
    expect((await t.call('dana', 'GET', '/v1/freezes')).body.items).toEqual([]);
  });

  it('lets reads go on, and shows on every answer', async () => {
    await engage({ scope: 'all' });
    const answer = await t.call('dana', 'GET', '/v1/flags/plain');
    expect(answer.status).toBe(200);
    expect(answer.headers.get('countersign-freeze')).toBe('all;incident=INC-7');
    const problem = await t.call('dana', 'GET', '/v1/flags/nothing');
    expect(problem.headers.get('countersign-freeze')).toBe('all;incident=INC-7');
  });

  it('lets switching off pass, as the shipped policy says', async () => {
    await applyChanges(t, [{ action: 'enable', flag: 'plain' }]);
    await engage({ scope: 'all' });
    expect((await propose(t, [{ action: 'disable', flag: 'plain' }])).body.state).toBe('applied');
  });

  it.each([
    [{ scope: 'environment', environment: 'production' }, true, false],
    [{ scope: 'environment', environment: 'staging' }, false, true],
    [{ scope: 'namespace', namespace: 'payments' }, true, true],
    [{ scope: 'namespace', namespace: 'growth', yet_unknown: true }, false, false],
    [{ scope: 'namespace', namespace: 'payments', environment: 'staging' }, false, true],
    [{ scope: 'flag', flag: 'plain' }, true, true],
    [{ scope: 'flag', flag: 'checkout' }, false, false],
    [{ scope: 'flag', flag: 'plain', environment: 'production' }, true, false],
  ])('of %j covers that and nothing else', async (scope, coversProduction, coversStaging) => {
    await engage(scope);
    const enable = [{ action: 'enable', flag: 'plain' }];
    expect((await propose(t, enable)).status).toBe(coversProduction ? 403 : 201);
    expect((await propose(t, enable, { environment: 'staging' })).status).toBe(coversStaging ? 403 : 201);
  });

  it('of one environment stops a change of a definition, which reaches it from everywhere', async () => {
    await engage({ scope: 'environment', environment: 'production' });
    const update = [{ action: 'update', flag: 'plain', set: { owner: 'x' } }];
    expect((await propose(t, update, { environment: 'development' })).status).toBe(403);
  });

  it('wins against an approval that comes after it', async () => {
    const { body } = await propose(t, [{ action: 'enable', flag: 'checkout' }]);
    await engage({ scope: 'flag', flag: 'checkout' });
    const approved = await approve(t, 'alex', body);
    expect(approved.body).toMatchObject({ state: 'pending', gates: [{ code: 'frozen' }] });
    expect(await enabled('checkout')).toBe(false);
  });

  it('wins against writes that arrive with it: none is in the log after it', async () => {
    for (let round = 0; round < 10; round += 1) {
      const flag = await createFlag(t, `queued-${round}`, { tier: 'informational' });
      const enable = () => propose(t, [{ action: 'enable', flag }]);
      const [, frozen] = await Promise.all([enable(), engage({ scope: 'flag', flag }), enable(), enable()]);
      expect(frozen.status).toBe(201);
      const { items } = (await t.call('avery', 'GET', '/v1/decisions?limit=20')).body;
      const engagedPlace = items.find(
        (item: { operation: string }) => item.operation === 'freeze.engage',
      ).place;
      const appliedSeqs = items
        .filter((item: Reply['body']) => item.request?.to === 'applied' && item.flags[0].flag === flag)
        .map((item: { place: number }) => item.place)
        .filter((place: number) => place > engagedPlace);
      expect(appliedSeqs).toEqual([]);
    }
  });

  it('wins against a scheduled request, which is applied once it is lifted', async () => {
    const start_ms = t.clock() + 3_600_000;
    const { body } = await propose(t, [{ action: 'enable', flag: 'plain' }], { start_ms });
    const { id } = (await engage({ scope: 'all' })).body;
    t.clock.set(start_ms);
    await t.broker.scheduler.tick();
    expect(await readRequest(t, body.id)).toMatchObject({ state: 'ready', standing: { effect: 'deny' } });
    const { body: request } = await lift(id);
    expect((await approve(t, 'alex', request)).status).toBe(403);
    expect((await approve(t, 'sam', request)).body.state).toBe('applied');
    await t.broker.scheduler.tick();
    expect((await readRequest(t, body.id)).state).toBe('applied');
  });

  it('survives a restart', async () => {
    await engage({ scope: 'all' });
    await t.restart();
    expect((await propose(t, [{ action: 'enable', flag: 'plain' }])).status).toBe(403);
    expect((await t.call('dana', 'GET', '/v1/whoami')).headers.get('countersign-freeze')).toBe(
      'all;incident=INC-7',
    );
  });

  it('needs an environment that exists, an incident and a reason', async () => {
    const before = await countRows(t);
    for (const order of [
      { scope: 'all', reason: 'x' },
      { scope: 'all', incident: 'x' },
      { scope: 'all', incident: '', reason: '' },
      { scope: 'everything', ...INCIDENT },
      { scope: 'flag', ...INCIDENT },
      { scope: 'all', flag: 'plain', ...INCIDENT },
    ]) {
      expect((await t.call('riley', 'POST', '/v1/freezes', order)).body.code).toBe('invalid_request');
    }
    const nowhere = { scope: 'environment', environment: 'moon', ...INCIDENT };
    expect((await t.call('riley', 'POST', '/v1/freezes', nowhere)).body.code).toBe('not_found');
    expect(await countRows(t)).toEqual(before);
  });

  it.each([
    [{ scope: 'flag', flag: 'chekout' }, 'flag', 'checkout'],
    [{ scope: 'flag', flag: 'plain2', environment: 'staging' }, 'flag', 'plain'],
    [{ scope: 'namespace', namespace: 'paymentz' }, 'namespace', 'payments'],
    [{ scope: 'environment', environment: 'prodution' }, 'environment', 'production'],
    [{ scope: 'flag', flag: 'plain', environment: 'prodution' }, 'environment', 'production'],
  ])('of a misspelt name, %j, freezes nothing and names the nearest', async (order, member, nearest) => {
    const { status, body } = await engage(order);
    expect([status, body.code]).toEqual([404, 'not_found']);
    expect(body.errors).toEqual([
      { pointer: `#/${member}`, detail: expect.stringContaining(`did you mean ${nearest}?`) },
    ]);
    expect((await t.call('riley', 'GET', '/v1/freezes')).body.items).toEqual([]);
    const { items } = (await t.call('avery', 'GET', '/v1/decisions?operation=freeze.engage')).body;
    // Allowed but not done: the record engages nothing.
    for (const { record } of items) expect(record.freeze).toBeNull();
  });

  it('of a name that is yet unknown holds once it exists, if it was asked for', async () => {
    expect((await engage({ scope: 'flag', flag: 'soon', yet_unknown: true })).status).toBe(201);
    const { status, body } = await propose(t, [creation('soon', { tier: 'informational' })]);
    expect([status, body.code]).toEqual([403, 'policy_denied']);
    expect(body.reasons).toMatchObject([{ code: 'frozen' }]);
  });

  it('of a misspelt name tells strangers nothing of the names that there are', async () => {
    for (const order of [
      { scope: 'flag', flag: 'chekout' },
      { scope: 'flag', flag: 'checkout' },
      { scope: 'namespace', namespace: 'paymentz' },
      { scope: 'environment', environment: 'prodution' },
    ]) {
      const stranger = await t.people.idToken('casey', { claims: { groups: [] } });
      const { status, body } = await engage(order, stranger);
      expect([status, body.code, body.errors]).toEqual([403, 'policy_denied', undefined]);
    }
  });

  it('shows an incident of any text in a header that stays one line', async () => {
    await t.call('riley', 'POST', '/v1/freezes', {
      scope: 'all',
      incident: 'I-1\nSet-Cookie: ü=1',
      reason: 'x',
    });
    const whoami = async () => (await t.call('dana', 'GET', '/v1/whoami')).headers;
    // What is shown is read again after the write, which a server may answer a moment later.
    await expect
      .poll(async () => (await whoami()).get('countersign-freeze'))
      .toBe('all;incident=I-1%0ASet-Cookie%3A%20%C3%BC%3D1');
    expect((await whoami()).get('set-cookie')).toBeNull();
  });
});

describe('lifting a freeze', () => {
  it('takes two persons', async () => {
    const { id } = (await engage({ scope: 'all' })).body;
    const { body } = await lift(id);
    expect(body.state).toBe('pending');
    expect((await approve(t, 'riley', body)).status).toBe(403);
    expect((await propose(t, [{ action: 'enable', flag: 'plain' }])).status).toBe(403);
    expect((await approve(t, 'sam', body)).body.state).toBe('applied');
    expect((await propose(t, [{ action: 'enable', flag: 'plain' }])).status).toBe(201);
    const { items } = (await t.call('dana', 'GET', '/v1/freezes?state=all')).body;
    expect(items).toMatchObject([{ id, lifted_by_request: body.id, lifted_ms: t.clock() }]);
    expect((await t.call('dana', 'GET', '/v1/freezes')).body.items).toEqual([]);
  });

  it('is not proposed by those who develop', async () => {
    const { id } = (await engage({ scope: 'all' })).body;
    expect((await lift(id, 'dana')).status).toBe(403);
  });

  it('of one freeze leaves the others', async () => {
    const first = (await engage({ scope: 'all' })).body;
    await engage({ scope: 'flag', flag: 'plain' });
    await approve(t, 'sam', (await lift(first.id)).body);
    expect((await propose(t, [{ action: 'enable', flag: 'plain' }])).status).toBe(403);
  });

  it('twice is a conflict for the second request, and nothing is lifted again', async () => {
    const { id } = (await engage({ scope: 'all' })).body;
    const [first, second] = [(await lift(id)).body, (await lift(id)).body];
    await approve(t, 'sam', first);
    expect((await approve(t, 'sam', second)).body.state).toBe('conflicted');
    expect((await lift(id)).body.code).toBe('invalid_change');
  });

  it('takes a freeze that exists', async () => {
    expect((await lift('00000000-0000-4000-8000-000000000000')).body.code).toBe('not_found');
  });
});
