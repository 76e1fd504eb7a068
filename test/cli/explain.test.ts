import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { approve, createFlag, propose } from '../support/flags.ts';
import { createTerminal, type Terminal } from './support.ts';

let t: TestBroker;
let terminal: Terminal;
let request: { id: string; decision_id: string };

beforeAll(async () => {
  t = await startTestBroker();
  terminal = createTerminal(t, { env: { TZ: 'Asia/Tokyo' } });
  await createFlag(t, 'told', { tier: 'sensitive' });
  for (const who of ['alex', 'sam', 'dana']) await t.call(who, 'GET', '/v1/whoami');
  t.clock.set(Date.UTC(2026, 10, 20, 17, 0));
  request = (await propose(t, [{ action: 'enable', flag: 'told' }])).body;
});
afterAll(() => t.close());

describe('explain', () => {
  it('says what a request waits for, who could help, and when, on the clocks of window and reader', async () => {
    const { code, out } = await terminal.as('avery', 'explain', request.id);
    expect(out).toMatch(/answer +hold\n +held_by_tier: /);
    expect(out).toMatch(/granted +by group payments-developers at \S+, to person:demo:dana/);
    expect(out).toMatch(
      /approval_required: .*\n.*countersign approve .*\n +who +person:demo:alex \(emp-1002\), /,
    );
    expect(out).toContain(
      'opens  business-hours-berlin: Mon 23 Nov 2026, 09:00 (Europe/Berlin); here Mon 23 Nov 2026, 17:00 (Asia/Tokyo)',
    );
    expect(out).toMatch(/if met +allow, on Mon 23 Nov 2026, 17:00 \(Asia\/Tokyo\)/);
    expect(code).toBe(0);
  });

  it('explains a decision by its id too, and prints the document with --json', async () => {
    const { json } = await terminal.as('avery', 'explain', request.decision_id, '--json');
    expect(json).toMatchObject({ about: { type: 'decision', id: request.decision_id }, effect: 'hold' });
  });

  it('passes on why somebody may not know', async () => {
    expect((await terminal.as('dana', 'explain', request.decision_id)).code).toBe(4);
    expect((await terminal.as('avery', 'explain', 'x')).code).toBe(1);
  });
});

describe('what-if', () => {
  it('asks about one’s own change without proposing it', async () => {
    const before = (await t.call('dana', 'GET', '/v1/requests?limit=200')).body.items.length;
    for (const change of [
      ['--flag', 'told', '--action', 'enable'],
      ['--enable', 'told'],
    ]) {
      const { code, out } = await terminal.as('dana', 'what-if', ...change, '--environment', 'production');
      expect(out).toMatch(/about +what if\n/);
      expect(out).toMatch(/ticket_required: /);
      expect(code).toBe(0);
    }
    expect((await t.call('dana', 'GET', '/v1/requests?limit=200')).body.items).toHaveLength(before);
  });

  it('asks as somebody else, as groups, and about operations', async () => {
    const where = ['--environment', 'production'];
    const as = (who: string, ...words: string[]) =>
      terminal.as('avery', 'what-if', '--as', who, ...words, ...where);
    expect((await as('emp-1002', '--enable', 'told')).out).toMatch(
      /answer +deny\n[\s\S]*^denied because\n +role_missing/m,
    );
    const group = await as('group:payments-developers', '--issuer', t.people.issuer, '--enable', 'told');
    expect(group.out).toMatch(/answer +hold/);
    const { out } = await as('emp-1002', '--operation', 'decision.read');
    expect(out).toMatch(/asked +decision\.read by person:demo:alex/);
    expect(out).toMatch(/who may +person:demo:avery/);
    expect(
      (await terminal.as('dana', 'what-if', '--as', 'emp-1002', '--enable', 'told', ...where)).code,
    ).toBe(4);
  });

  it.each([
    [['--flag', 'told'], /belong together/],
    [['--environment', 'production'], /Specify what to ask about/],
    [['--enable', 'told'], /Specify the environment/],
    [['--enable', 'told', '--operation', 'flag.read'], /not both/],
    [['--as', 'group:a,emp-1', '--operation', 'flag.read'], /groups only/],
    [['--flag', 'told', '--action', 'explode'], /Allowed choices/],
  ])('refuses %j', async (words, message) => {
    const { code, err } = await terminal.as('avery', 'what-if', ...words);
    expect(err).toMatch(message);
    expect(code).toBe(2);
  });
});

describe('propose --plan', () => {
  const planned = (...words: string[]) =>
    terminal.as('dana', 'propose', '--plan', '--reason', 'x', '--environment', ...words);

  it('says what the proposal would do and what is missing, with the status that it would have', async () => {
    const before = (await t.call('dana', 'GET', '/v1/requests?limit=200')).body.items.length;
    const { code, out } = await planned('production', '--enable', 'told');
    expect(out).toMatch(
      /^plan +nothing was proposed\ndigest +sha256:[0-9a-f]{64}\nchanges\n +1\. enable told in production/,
    );
    expect(out).toMatch(/answer +hold\n/);
    expect(out).toMatch(/approval_required: /);
    expect(out).not.toContain('countersign approve');
    expect(code).toBe(3);
    expect((await planned('development', '--enable', 'told')).code).toBe(0);
    const denied = await terminal.as(
      'alex',
      'propose',
      '--plan',
      '--reason',
      'x',
      ...['--environment', 'production'],
      '--enable',
      'told',
    );
    expect([denied.code, denied.out]).toEqual([
      4,
      expect.stringMatching(/answer +deny\n[\s\S]*^denied because\n +role_missing/m),
    ]);
    expect((await t.call('dana', 'GET', '/v1/requests?limit=200')).body.items).toHaveLength(before);
  });

  it('says each reason once, also under a freeze', async () => {
    const freeze = { scope: 'flag', flag: 'told', incident: 'I', reason: 'x' };
    await t.call('riley', 'POST', '/v1/freezes', freeze);
    const { code, out } = await planned('staging', '--enable', 'told');
    expect([code, out]).toEqual([4, expect.stringMatching(/answer +deny/)]);
    const said = out
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => /^[a-z_]+: /.test(line));
    expect(said.filter((line) => line.startsWith('frozen: '))).toHaveLength(1);
    expect(new Set(said).size).toBe(said.length);
    const [{ id }] = (await t.call('riley', 'GET', '/v1/freezes')).body.items;
    const lift = { kind: 'freeze.lift', freeze: id, reason: 'over' };
    const { body } = await t.call('riley', 'POST', '/v1/requests', lift);
    expect((await approve(t, 'sam', body)).body.state).toBe('applied');
  });

  it('prints one document with --json, and passes on faults', async () => {
    const { json } = await planned('production', '--enable', 'told', '--json');
    expect(json).toMatchObject({ effect: 'hold', plan: { changes: [{ action: 'enable' }] } });
    expect(await planned('production', '--return-to', 'told@99')).toMatchObject({
      code: 1,
      err: expect.stringContaining('invalid_change'),
    });
    for (const more of [['--wait'], ['--idempotency-key', 'k-1']]) {
      expect(await planned('production', '--enable', 'told', ...more)).toMatchObject({ code: 2 });
    }
  });
});
