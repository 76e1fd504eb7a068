import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TestBroker } from '../support/broker.ts';
import { applyChanges, approve, createFlag, propose, TICKET } from '../support/flags.ts';
import { readerToken, startPublishingBroker } from '../support/snapshots.ts';
import { createTerminal, type Terminal } from './support.ts';

/* What organizations are served, and by which relays, and what was decided: as the command line shows it. */

let t: TestBroker;
let terminal: Terminal;
/** Somebody whom policy gives nothing. */
let stranger: Terminal;

const some = (...organizations: string[]) => ({ kind: 'some', organizations, users: [] });

beforeAll(async () => {
  t = await startPublishingBroker();
  terminal = createTerminal(t);
  const token = await t.people.idToken('casey', {
    claims: { groups: [], sub: 'x', employee_id: 'emp-9998' },
  });
  stranger = createTerminal(t, { env: { COUNTERSIGN_TOKEN: token } });
  await createFlag(t, 'a-disabled');
  await createFlag(t, 'b-named');
  await applyChanges(t, [
    { action: 'enable', flag: 'b-named' },
    { action: 'set_audience', flag: 'b-named', audience: some('acme', 'globex') },
  ]);
});
afterAll(() => t.close());

describe('organizations', () => {
  it('finds those that flags name, by a part of the name', async () => {
    const all = await terminal.as('dana', 'organizations', '--environment', 'production');
    expect([all.code, all.out]).toEqual([0, 'acme\nglobex\n']);
    const found = await terminal.as(
      ...(['dana', 'organizations', '--environment', 'production'] as const),
      ...['--search', 'LOB', '--json'],
    );
    expect(found.json).toEqual({ items: [{ organization: 'globex' }], next_cursor: null });
    const none = await terminal.as('dana', 'organizations', '--environment', 'staging');
    expect([none.code, none.out]).toEqual([0, 'No results.\n']);
    const page = await terminal.as('dana', 'organizations', '--environment', 'production', '--limit', '1');
    expect([page.out, page.err]).toEqual(['acme\n', expect.stringMatching(/--cursor \S+\n$/)]);
  });

  it('lists the flags as one of them sees them, and why', async () => {
    const seen = (name: string) => terminal.as('dana', 'organizations', name, '--environment', 'production');
    const { out: acme } = await seen('acme');
    expect(acme).toMatch(/^KEY +NAMESPACE +VALUE +WHY\n/);
    expect(acme).toMatch(/^a-disabled +payments +false +disabled$/m);
    expect(acme).toMatch(/^b-named +payments +true +default$/m);
    // A name is one segment of an address, whatever is in it.
    const odd = await seen('../acme?x=/');
    expect(odd.code).toBe(1);
    expect(odd.err).toContain('There is no organization "../acme?x=/" that you may see.');
    expect((await seen('unknown-co')).out).toMatch(/^b-named +payments +false +not_in_audience$/m);
    const { json } = await terminal.as(
      ...(['dana', 'organizations', 'acme', '--environment', 'production', '--json'] as const),
    );
    const path = '/v1/organizations/acme/flags?environment=production';
    expect(json).toEqual((await t.call('dana', 'GET', path)).body);
  });

  it('searches the flags of one by their key', async () => {
    const words = ['organizations', 'acme', '--environment', 'production', '--json'];
    const found = await terminal.as('dana', ...words, '--search', 'B-NAM');
    expect(found.json.items).toMatchObject([{ key: 'b-named' }]);
    expect((await terminal.as('dana', ...words, '--search', 'no-such')).json.items).toEqual([]);
  });

  it('lists what has changed for one', async () => {
    const words = ['organizations', 'acme', '--environment', 'production', '--changes'];
    const { code, out } = await terminal.as('dana', ...words);
    expect(code).toBe(0);
    expect(out).toMatch(/^AT +FLAG +BEFORE +AFTER +REQUEST\n/);
    const { json } = await terminal.as('dana', ...words, '--json');
    expect(json.items).toMatchObject([{ flag: 'b-named', named: 'added' }]);
    expect(out).toMatch(new RegExp(`b-named +off +on +${json.items[0].request_id}$`, 'm'));
  });

  it('refuses what is no environment, and whoever may read no flag', async () => {
    const missing = await terminal.as('dana', 'organizations', '--json');
    expect([missing.code, missing.json.code]).toEqual([2, 'usage']);
    const unknown = await terminal.as('dana', 'organizations', '--environment', 'prod', '--json');
    expect(unknown.code).not.toBe(0);
    expect(unknown.json.detail).toContain('production');
    const denied = await stranger.run('organizations', 'acme', '--environment', 'production', '--json');
    expect([denied.code, denied.json.code]).toEqual([4, 'policy_denied']);
  });
});

describe('preview', () => {
  it('shows each organization before and after, in the order of the command line', async () => {
    const changes = [{ action: 'set_audience', flag: 'b-named', audience: some('acme', 'initech') }];
    const { id } = (await propose(t, changes, { ticket: TICKET })).body;
    const names = ['initech', 'acme', 'globex'].flatMap((name) => ['--organization', name]);
    const { code, out } = await terminal.as('dana', 'preview', id, ...names);
    expect(code).toBe(0);
    expect(out.trimEnd().split('\n')).toEqual([
      expect.stringMatching(/^ORGANIZATION +FLAG +ENVIRONMENT +BEFORE +AFTER +CHANGES$/),
      expect.stringMatching(/^initech +b-named +production +false +true +yes$/),
      expect.stringMatching(/^acme +b-named +production +true +true +no$/),
      expect.stringMatching(/^globex +b-named +production +true +false +yes$/),
    ]);
    const { json } = await terminal.as('dana', 'preview', id, '--organization', 'acme', '--json');
    expect(json.results).toMatchObject([{ flags: [{ flag: 'b-named', changed: false }] }]);
    const denied = await stranger.run('preview', id, '--organization', 'acme', '--json');
    expect([denied.code, denied.json.code]).toEqual([4, 'policy_denied']);
  });

  it('refuses a request that there is not', async () => {
    const id = '01a00000-0000-7000-8000-000000000000';
    const run = await terminal.as('dana', 'preview', id, '--organization', 'acme');
    expect(run.code).toBe(1);
    expect(run.err).toContain('not_found');
  });
});

describe('audit summary', () => {
  it('counts the days, each in a row', async () => {
    await createFlag(t, 'c-waits');
    const { body: waiting } = await propose(t, [{ action: 'enable', flag: 'c-waits' }], { ticket: TICKET });
    t.clock.advance(10 * 60_000);
    expect((await approve(t, 'alex', waiting)).body.state).toBe('applied');
    const { code, out } = await terminal.as('avery', 'audit', 'summary');
    const { body } = await t.call('avery', 'GET', '/v1/audit/summary');
    expect(code).toBe(0);
    const [head, ...rows] = out.trimEnd().split('\n');
    expect(head).toMatch(/^DAY +APPLIED +HELD +DENIED +MEDIAN WAIT$/);
    expect(rows).toHaveLength(body.days.length);
    const { applied, held, denied } = body.days.at(-1);
    expect(applied).toBeGreaterThan(0);
    const today = new Date(t.clock()).toISOString().slice(0, 10);
    expect(rows.at(-1)).toMatch(new RegExp(`^${today} +${applied} +${held} +${denied} +10 min$`));
    expect(rows[0]).toMatch(/ 0 +0 +0 +-$/);
  });

  it('gives with --json what the broker gave, and passes a refusal on', async () => {
    const { json } = await terminal.as('avery', 'audit', 'summary', '--json');
    expect(json.days).toHaveLength(31);
    const denied = await terminal.as('dana', 'audit', 'summary', '--json');
    expect([denied.code, denied.json.code]).toEqual([4, 'policy_denied']);
    expect(denied.json.gates ?? denied.json.reasons).not.toEqual([]);
  });
});

describe('relays', () => {
  it('lists what each serves, until it is silent', async () => {
    const none = await terminal.as('avery', 'relays');
    expect([none.code, none.out]).toEqual([0, 'No relay has reported in the last 45 seconds.\n']);
    const report = {
      ...{ id: randomUUID(), relay: 'eu-1', version: 7, digest: `sha256:${'a'.repeat(64)}` },
      ...{ served_ms: t.clock(), reads: [] },
    };
    const sent = await t.call(await readerToken(t), 'POST', '/snapshots/production/reports', report);
    expect(sent.status).toBe(204);
    const { code, out } = await terminal.as('avery', 'relays');
    expect(code).toBe(0);
    expect(out).toMatch(/^ENVIRONMENT +RELAY +VERSION +SINCE +REPORTED +PRINCIPAL\n/);
    expect(out).toMatch(/^production +eu-1 +7 .* workload:checkout-service:\S+$/m);
    const { json } = await terminal.as('avery', 'relays', '--json');
    expect(json.items).toMatchObject([{ relay: 'eu-1', version: 7, environment: 'production' }]);
    // Each sees those of the environments that they may read.
    expect((await stranger.run('relays', '--json')).json.items).toEqual([]);
    t.clock.advance(46_000);
    expect((await terminal.as('avery', 'relays', '--json')).json.items).toEqual([]);
  });
});

it.each([['comments', 'x'], ['inbox'], ['relays'], ['audit', 'summary']])(
  'says how to sign in where nobody is: %s',
  async (...words) => {
    const run = await createTerminal(t).run(...words, '--json');
    expect([run.code, run.json.code]).toEqual([7, 'not_signed_in']);
    expect(run.json.detail).toMatch(/^Sign in to /);
  },
);
