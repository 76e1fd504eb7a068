import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { createFlag, propose } from '../support/flags.ts';
import { createTerminal, type Terminal } from './support.ts';

/* Short ids: the beginning of an id stands for it, if only one that the caller may see begins so. */

let t: TestBroker;
let terminal: Terminal;
let first: string;
let second: string;
/** A request in a namespace that dana may not see. */
let hidden: string;

function bindGrowth(data: unknown): unknown {
  const edited = structuredClone(data) as {
    config: { role_bindings: { groups: Record<string, Record<string, unknown>> } };
  };
  for (const groups of Object.values(edited.config.role_bindings.groups)) {
    const place = { namespaces: ['growth'], environments: ['*'] };
    groups.growth = [{ roles: ['flag-deployer', 'flag-reader'], ...place }];
  }
  return edited;
}

/** The beginning of an id that no other has: all are of one moment here. */
const shortOf = (id: string) => id.slice(0, 28);

beforeAll(async () => {
  t = await startTestBroker({ editData: bindGrowth });
  terminal = createTerminal(t);
  await createFlag(t, 'nav');
  await createFlag(t, 'beta');
  first = (await propose(t, [{ action: 'enable', flag: 'nav' }])).body.id;
  second = (await propose(t, [{ action: 'enable', flag: 'beta' }])).body.id;
  const growth = await t.people.idToken('casey', {
    mfa: true,
    claims: { groups: ['growth'], sub: 'outsider', employee_id: 'emp-outsider' },
  });
  const definition = { namespace: 'growth', kind: 'release', tier: 'operational', owner: 'o', purpose: 'p' };
  const change = {
    action: 'create',
    flag: 'grown',
    definition: { ...definition, variants: { on: true, off: false }, retirement: 'r' },
  };
  hidden = (await propose(t, [change], {}, growth)).body.id;
  expect(hidden).toEqual(expect.any(String));
});
afterAll(() => t.close());

describe('a short id', () => {
  it('stands for the one request that begins so, in every command that takes one', async () => {
    const short = shortOf(first);
    const shown = await terminal.as('dana', 'show', short, '--json');
    expect([shown.code, shown.json.id]).toEqual([0, first]);
    expect((await terminal.as('dana', 'show', short.toUpperCase(), '--json')).json.id).toBe(first);
    const explained = await terminal.as('dana', 'explain', short, '--json');
    expect(explained.json.about).toEqual({ type: 'request', id: first });
    const edited = await terminal.as('dana', 'edit', short, '--reason', 'y', '--json');
    expect([edited.json.id, edited.json.reason]).toEqual([first, 'y']);
    const { digest } = edited.json;
    const voted = await terminal.as('alex+mfa', 'reject', short, '--digest', digest, '--json');
    expect([voted.code, voted.json.id, voted.json.state]).toEqual([0, first, 'rejected']);
  });

  it('that several have lists those that the caller may see, and does nothing', async () => {
    const common = first.slice(0, 6);
    const both = await terminal.as('dana', 'withdraw', common, '--json');
    expect([both.code, both.json.code]).toEqual([2, 'ambiguous_id']);
    expect(both.json.candidates).toEqual(expect.arrayContaining([first, second]));
    // The hidden one begins so too.
    expect(hidden.startsWith(common)).toBe(true);
    expect(JSON.stringify(both.json)).not.toContain(hidden);
    const { err } = await terminal.as('dana', 'withdraw', common);
    expect(err).toMatch(new RegExp(`Write more of the id:\\n[^]* ${second} +pending`));
    expect((await terminal.as('dana', 'show', second, '--json')).json.state).toBe('pending');
  });

  it('of something hidden is answered like one that nothing has', async () => {
    const answer = async (short: string) => {
      const { code, json } = await terminal.as('dana', 'show', short, '--json');
      return { code, text: JSON.stringify(json).replaceAll(short, '…') };
    };
    const told = await answer(shortOf(hidden));
    expect(told).toEqual(await answer('ffffffff-ffff-ffff-ffff-ffff'));
    expect(told.text).toContain('There is no request');
  });

  it('stands for decisions, freezes and revocations too', async () => {
    const { items } = (await t.call('avery', 'GET', '/v1/decisions?limit=3')).body;
    const ids = items.map(({ id }: { id: string }) => id) as string[];
    const [newest = ''] = ids;
    const decision = await terminal.as('avery', 'decisions', shortOf(newest), '--json');
    expect(decision.json.id).toBe(newest);
    const order = { scope: 'namespace', namespace: 'payments', incident: 'INC-7', reason: 'x' };
    const { body: freeze } = await t.call('riley', 'POST', '/v1/freezes', order);
    const lifted = await terminal.as('riley', 'lift', freeze.id.slice(0, 28), '--reason', 'over', '--json');
    expect([lifted.code, lifted.json.object.id]).toEqual([3, freeze.id]);
    const revoking = { kind: 'subject', value: 'emp-9', incident: 'INC-7', reason: 'x' };
    const { body: revocation } = await t.call('riley+mfa', 'POST', '/v1/revocations', revoking);
    const shown = await terminal.as('riley', 'revocations', 'show', revocation.id.slice(0, 28), '--json');
    expect(shown.json.id).toBe(revocation.id);
  });

  it.each(['abc', 'nonsense', '0197f3a0-7c1e-7000-8000-00000000000g', '%'])(
    'is not %j, which is refused as a name that nothing has',
    async (text) => {
      const { code, err } = await terminal.as('dana', 'show', text);
      expect([code, err]).toEqual([1, expect.stringContaining('There is no request')]);
    },
  );

  it('is taken by lists of the API, at least six characters of it', async () => {
    const { body } = await t.call('dana', 'GET', `/v1/requests?id=${shortOf(second)}`);
    expect(body.items.map(({ id }: { id: string }) => id)).toEqual([second]);
    for (const wrong of ['0197f', 'zzzzzz', `${first}0`]) {
      expect((await t.call('dana', 'GET', `/v1/requests?id=${wrong}`)).status).toBe(400);
    }
  });
});
