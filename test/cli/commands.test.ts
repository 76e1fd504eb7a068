import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nodeVersionFault } from '../../src/cli/node-version.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { applyChanges, createFlag, creation, readFlag } from '../support/flags.ts';
import { createTerminal, type Terminal } from './support.ts';

let t: TestBroker;
let terminal: Terminal;

beforeAll(async () => {
  t = await startTestBroker();
  terminal = createTerminal(t);
  await createFlag(t, 'nav');
  await applyChanges(t, [{ action: 'enable', flag: 'nav' }]);
});
afterAll(() => t.close());

describe('flags', () => {
  it('lists an environment, shows one flag, and its history', async () => {
    const list = await terminal.as('dana', 'flags', '--environment', 'production');
    expect(list.out).toMatch(/^nav +payments +operational +release +2 +on for all: on$/m);
    const one = await terminal.as('dana', 'flags', 'nav', '--json');
    expect(Object.keys(one.json.states).sort()).toEqual(['development', 'production', 'staging']);
    const there = await terminal.as('dana', 'flags', 'nav', '--environment', 'production', '--json');
    expect(Object.keys(there.json.states)).toEqual(['production']);
    expect((await terminal.as('dana', 'flags', 'nav')).out).toContain('owner              team-payments');
    const words = ['flags', 'nav', '--history', '--environment', 'production'];
    const history = await terminal.as('dana', ...words, '--json');
    expect(history.json.items.map(({ version }: { version: number }) => version)).toEqual([2, 1]);
    expect((await terminal.as('dana', ...words)).out).toMatch(/^2 +Wed 18 Nov 2026, 09:30 UTC/m);
  });

  it('exits with 2 without an environment where one is needed, and with 1 for an unknown flag', async () => {
    expect((await terminal.as('dana', 'flags')).code).toBe(2);
    expect((await terminal.as('dana', 'flags', 'nav', '--history')).code).toBe(2);
    expect((await terminal.as('dana', 'flags', '--history', '--environment', 'staging')).code).toBe(2);
    expect((await terminal.as('dana', 'flags', 'nope')).code).toBe(1);
  });
});

describe('decisions', () => {
  it('filters the log, follows its cursors, and shows one with its input', async () => {
    const list = await terminal.as(
      'avery',
      'decisions',
      '--flag',
      'nav',
      '--environment',
      'production',
      '--json',
    );
    expect(list.json.items.length).toBeGreaterThanOrEqual(2);
    const [newest] = list.json.items;
    const one = await terminal.as('avery', 'decisions', newest.id, '--json');
    expect(one.json).toMatchObject({ id: newest.id, input: { operation: newest.operation } });
    expect(JSON.parse((await terminal.as('avery', 'decisions', newest.id)).out)).toEqual(one.json);
    const all = await terminal.as('avery', 'decisions', '--limit', '2', '--all', '--json');
    expect(all.json.items.length).toBeGreaterThan(2);
    const none = await terminal.as('avery', 'decisions', '--to', '2020-01-01T00:00:00Z');
    expect(none.out).toBe('No results.\n');
  });

  it.each([
    ['--from', 'yesterday'],
    ['--to', '2026-11-21T25:00:00Z'],
    ['--from', ''],
  ])('exit with 2 and send nothing for %s %s', async (option, text) => {
    const offline = createTerminal(t, { fetch: () => Promise.reject(new Error('something was sent')) });
    const run = await offline.as('avery', 'decisions', option, text, '--json');
    expect([run.code, run.json.code]).toEqual([2, 'usage']);
    expect(run.json.detail).toContain('2026-11-21T09:00:00+01:00');
  });

  it('are found from a date, a moment with an offset or epoch milliseconds', async () => {
    for (const from of ['2026-11-01', '2026-11-01T00:00:00+01:00', '1793491200000']) {
      const run = await terminal.as('avery', 'decisions', '--from', from, '--limit', '1', '--json');
      expect(run.json.items).toHaveLength(1);
    }
    const none = await terminal.as('avery', 'decisions', '--from', '2027-01-01', '--json');
    expect(none.json.items).toEqual([]);
  });

  it('are for auditors', async () => {
    expect((await terminal.as('dana', 'decisions')).code).toBe(4);
  });
});

describe('freeze, lift and break-glass', () => {
  it('freeze stops writes, and lift with --wait ends when two others have approved', async () => {
    const said = ['--incident', 'INC-7', '--reason', 'errors', '--json'];
    const frozen = await terminal.as('riley', 'freeze', '--environment', 'staging', ...said);
    expect([frozen.code, frozen.json.scope]).toEqual([0, 'environment']);
    const listed = await terminal.as('dana', 'freeze', '--list');
    expect(listed.out).toMatch(new RegExp(`^${frozen.json.id} +all writes in staging +INC-7 `, 'm'));

    const denied = await terminal.as(
      'dana',
      ...['propose', '--environment', 'staging', '--reason', 'x', '--enable', 'nav'],
    );
    expect(denied.code).toBe(4);
    expect(denied.err).toContain('countersign freeze --list');

    const lifting = createTerminal(t, {
      sleep: async () => {
        const { body } = await t.call('riley', 'GET', '/v1/requests?kind=freeze.lift&state=open');
        const [request] = body.items;
        const word = { digest: request.digest };
        await t.call('alex+mfa', 'POST', `/v1/requests/${request.id}/approve`, word);
        await t.call('sam+mfa', 'POST', `/v1/requests/${request.id}/approve`, word);
      },
    });
    const lifted = await lifting.as('riley', 'lift', frozen.json.id, '--reason', 'over', '--wait');
    expect(lifted.code).toBe(0);
    expect(lifted.out).toContain(`freeze ${frozen.json.id} of all writes in staging`);
    expect((await terminal.as('dana', 'freeze', '--list')).out).toBe('No freeze is in effect.\n');
  });

  it.each([[['--all', '--flag', 'nav']], [['--flag', 'nav', '--namespace', 'payments']], [[]]])(
    'freeze exits with 2 for the scope %j',
    async (scope) => {
      const run = await terminal.as('riley', 'freeze', ...scope, '--incident', 'INC-7', '--reason', 'x');
      expect(run.code).toBe(2);
    },
  );

  it('freeze exits with 2 without incident and reason, and with 4 for those who may not', async () => {
    expect((await terminal.as('riley', 'freeze', '--all')).code).toBe(2);
    const run = await terminal.as('dana', 'freeze', '--all', '--yes', '--incident', 'INC-7', '--reason', 'x');
    expect(run.code).toBe(4);
  });

  it('break-glass switches off, does not switch on, and closes', async () => {
    const opened = await terminal.as(
      'riley+mfa',
      ...['break-glass', 'open', '--incident', 'INC-8', '--reason', 'errors', '--json'],
    );
    expect(opened.code).toBe(0);
    const again = await terminal.as(
      'riley+mfa',
      ...['break-glass', 'open', '--incident', 'INC-8', '--reason', 'errors', '--json'],
    );
    expect([again.code, again.json.code]).toEqual([5, 'state_conflict']);
    const apply = ['break-glass', 'apply', opened.json.id, '--environment', 'production'];
    const off = await terminal.as('riley+mfa', ...apply, '--disable', 'nav', '--json');
    expect([off.code, off.json.state]).toEqual([0, 'applied']);
    expect((await readFlag(t, 'nav')).states.production.enabled).toBe(false);
    const on = await terminal.as('riley+mfa', ...apply, '--enable', 'nav', '--json');
    expect([on.code, on.json.code]).toEqual([4, 'policy_denied']);
    expect((await terminal.as('riley+mfa', ...apply)).code).toBe(2);
    const closed = await terminal.as('riley+mfa', 'break-glass', 'close', opened.json.id, '--json');
    expect(closed.json.closed_ms).toBe(t.clock());
    expect((await terminal.as('riley', 'break-glass', 'list')).out).toContain('closed Wed 18 Nov 2026');
  });
});

describe('keys, policy and the program itself', () => {
  it('keys rotate makes a new key, for those who may', async () => {
    t.clock.advance(1);
    const run = await terminal.as('morgan', 'keys', 'rotate', '--json');
    expect(run.code).toBe(0);
    const { body } = await t.call(null, 'GET', '/.well-known/jwks.json');
    expect(body.keys.map(({ kid }: { kid: string }) => kid)).toContain(run.json.kid);
    expect((await terminal.as('dana', 'keys', 'rotate')).code).toBe(4);
    const list = await terminal.as('morgan', 'keys', 'list');
    expect(list.out).toMatch(new RegExp(`^${run.json.kid} +active +Wed 18 Nov 2026, 09:30 UTC +-$`, 'm'));
    expect(list.out).toMatch(/ verifying +Wed 18 Nov 2026, \S+ UTC +Wed 18 Nov 2026, \S+ UTC$/m);
    const newest = await terminal.as('avery', 'keys', 'list', '--limit', '1', '--json');
    expect(newest.json.items).toMatchObject([{ kid: run.json.kid, state: 'active' }]);
    expect((await terminal.as('dana', 'keys', 'list')).code).toBe(4);
  });

  it('policy hash prints what the broker calls the bundle, and needs no broker', async () => {
    const offline = createTerminal(t, { env: { COUNTERSIGN_URL: 'not a url' } });
    const run = await offline.run('policy', 'hash', join(t.folder, 'bundle.tar.gz'));
    expect(run.out).toBe(`${t.broker.policy.hash}\n`);
    const file = join(t.folder, 'no-bundle');
    await writeFile(file, 'x');
    const bad = await offline.run('policy', 'hash', file, '--json');
    expect([bad.code, bad.json.code]).toEqual([1, 'bundle_unusable']);
  });

  it('prints version and help with 0, and documents every exit status there', async () => {
    const version = await terminal.run('--version');
    expect([version.code, version.err]).toEqual([0, '']);
    expect(version.out).toMatch(/^\d+\.\d+\.\d+\n$/);
    const help = await terminal.run('--help');
    expect(help.code).toBe(0);
    for (const code of [0, 1, 2, 3, 4, 5, 6, 7, 70])
      expect(help.out).toMatch(new RegExp(`^ {2}${code} +\\S`, 'm'));
    for (const name of ['COUNTERSIGN_TOKEN', 'COUNTERSIGN_SUBJECT_TOKEN_FILE', 'COUNTERSIGN_AUDIENCE']) {
      expect(help.out).toContain(name);
    }
  });

  it('exits with 2 for no command, an unknown one and a superfluous word', async () => {
    expect((await terminal.run()).code).toBe(2);
    expect((await terminal.run('aprove')).code).toBe(2);
    expect((await terminal.run('keys')).code).toBe(2);
    expect((await terminal.run('show', 'a', 'b')).code).toBe(2);
  });

  it('says which Node it needs', () => {
    for (const version of ['20.20.2', '22.17.1', '18.0.0']) {
      expect(nodeVersionFault(version)).toContain(`This is version ${version}`);
    }
    for (const version of ['22.18.0', '24.0.0', '23.1.0']) expect(nodeVersionFault(version)).toBeNull();
  });
});

describe('texts for people', () => {
  it('tell a usage error once, as the document alone with --json', async () => {
    for (const words of [['list', '--nonsense'], ['schedule', 'x'], ['explode']]) {
      const plain = await terminal.as('dana', ...words);
      expect([plain.code, plain.out]).toEqual([2, '']);
      const json = await terminal.as('dana', ...words, '--json');
      expect([json.code, json.err]).toEqual([2, '']);
      expect(json.json).toMatchObject({ code: 'usage' });
    }
  });

  it('show moments in words, and no unit at the end of a name', async () => {
    await createFlag(t, 'worded', { expires: '2027-01-31T00:00:00Z' });
    const { out } = await terminal.as('dana', 'flags', 'worded');
    expect(out).toMatch(/^expires +Sun 31 Jan 2027, 00:00 UTC$/m);
    expect(out).toMatch(/^created +Wed 18 Nov 2026, /m);
    expect(out).not.toMatch(/_ms\b/);
  });

  it('say nothing of JSON for what a flag does not have', async () => {
    await createFlag(t, 'without-contract');
    const { out } = await terminal.as('dana', 'flags', 'without-contract');
    expect(out).toMatch(/^contract +none$/m);
    expect(out).toMatch(/^expires +never$/m);
    expect(out).not.toContain('null');
  });

  it('list what creates a flag for every environment, and what switches it for its own', async () => {
    await createFlag(t, 'listed-everywhere');
    await applyChanges(t, [{ action: 'enable', flag: 'listed-everywhere' }], { environment: 'staging' });
    const { out } = await terminal.as('dana', 'list', '--state', 'applied', '--flag', 'listed-everywhere');
    expect(out).toMatch(/ every +.* create listed-everywhere$/m);
    expect(out).toMatch(/ staging +.* enable listed-everywhere$/m);
  });

  it('say of a new flag that it is off everywhere', async () => {
    const proposed = await t.call('dana', 'POST', '/v1/requests', {
      ...{ environment: 'staging', reason: 'x', changes: [creation('quite-new')] },
    });
    const shown = await terminal.as('dana', 'show', proposed.body.id);
    expect(shown.out).toMatch(/1\. create quite-new .*: created, off everywhere/);
    expect(shown.out).not.toContain('neutral');
  });
});
