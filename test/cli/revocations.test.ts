import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { status } from '../revocation/support.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { createFlag, propose, TICKET } from '../support/flags.ts';
import { createTerminal, type Terminal } from './support.ts';

let t: TestBroker;
let terminal: Terminal;

beforeEach(async () => {
  t = await startTestBroker();
  terminal = createTerminal(t);
});

afterEach(() => t.close());

const WHY = ['--incident', 'INC-7', '--reason', 'a laptop was stolen'];

describe('countersign revoke', () => {
  it('revokes, says what it hit, and how it is lifted', async () => {
    await createFlag(t, 'checkout');
    const { body: request } = await propose(t, [{ action: 'enable', flag: 'checkout' }], { ticket: TICKET });
    const run = await terminal.as('riley', 'revoke', 'subject', 'EMP-1001', ...WHY);
    expect(run.code).toBe(0);
    expect(run.out).toMatch(/^revoked {2}subject emp-1001\n/);
    expect(run.out).toContain(`1 open requests (parked): ${request.id}`);
    expect(run.out).toMatch(/countersign revocations lift [0-9a-f-]{36} --reason …/);
    expect((await t.call('dana', 'GET', '/v1/whoami')).status).toBe(401);
  });

  it('reads a token from standard input, and sends its id alone', async () => {
    const token = await t.workloadToken();
    const sent: string[] = [];
    const piped = createTerminal(t, {
      readStdin: async () => `${token}\n`,
      fetch: (url, init) => {
        sent.push(String(init?.body));
        return fetch(url, init);
      },
    });
    const run = await piped.as('riley', 'revoke', 'token', '-', ...WHY, '--json');
    expect(run.json).toMatchObject({ kind: 'token', value: expect.stringContaining('#jti:') });
    expect(sent.join()).not.toContain(token.split('.')[1]);
    expect(await status(t, token)).toBe(401);
  });

  it.each(['', 'not a token', 'a.b.c', 'eyJhbGciOiJFUzI1NiJ9.e30.AAAA'])(
    'takes nothing else for a token from standard input: %j',
    async (text) => {
      const piped = createTerminal(t, { readStdin: async () => text });
      expect((await piped.as('riley', 'revoke', 'token', '-', ...WHY)).code).toBe(2);
    },
  );

  it('takes no token on the command line', async () => {
    const token = await t.workloadToken();
    const run = await terminal.as('riley', 'revoke', 'token', token, ...WHY);
    expect(run.code).toBe(2);
    expect(run.err).toContain('revoke token - < FILE');
    expect(run.err).not.toContain(token);
  });

  it('says with --dry-run what it would hit, and does nothing', async () => {
    const run = await terminal.as('riley', 'revoke', 'trust-rule', 'payments-deploy', ...WHY, '--dry-run');
    expect(run).toMatchObject({ code: 0 });
    expect(run.out).toMatch(/^This would affect\n[\s\S]*Nothing was revoked\.\n$/);
    const json = await terminal.as('riley', 'revoke', 'class', 'all', ...WHY, '--dry-run', '--json');
    expect(json.json).toMatchObject({ dry_run: true, kind: 'class', hits: { sessions: [] } });
    expect((await terminal.as('riley', 'revocations', 'list', '--json')).json.items).toEqual([]);
  });

  it('says that a class is unknown before it asks for anything else', async () => {
    for (const more of [[], ['--yes'], ['--dry-run']]) {
      const run = await terminal.as('riley', 'revoke', 'class', 'persn', ...WHY, ...more);
      expect(run).toMatchObject({ code: 2, err: expect.stringMatching(/class "persn".*"?person"?/) });
      expect(run.err).not.toContain('--yes');
    }
  });

  it('needs an incident and a reason to revoke, and neither to look', async () => {
    const look = await terminal.as('riley', 'revoke', 'class', 'workload', '--dry-run', '--json');
    expect(look).toMatchObject({ code: 0, json: { dry_run: true } });
    for (const why of [[], ['--incident', 'INC-7'], ['--reason', 'x']]) {
      const run = await terminal.as('riley', 'revoke', 'class', 'workload', ...why);
      expect(run.code).toBe(2);
      expect(run.err).toContain('--incident ID and --reason TEXT');
    }
    expect((await terminal.as('riley', 'revocations', 'list', '--json')).json.items).toEqual([]);
  });

  it('refuses a token without saying why, but with the reference by which the log does', async () => {
    const { err } = await createTerminal(t, { env: { COUNTERSIGN_TOKEN: 'a.b.c' } }).run('whoami');
    expect(err).toMatch(/^reference [0-9a-f-]{36}$/m);
  });

  it('takes a moment, and refuses what cannot be revoked before anything is sent', async () => {
    const moment = new Date(t.clock() - 1000).toISOString();
    const run = await terminal.as(
      'riley',
      'revoke',
      'class',
      'person',
      ...WHY,
      '--issued-before',
      moment,
      '--json',
      '--yes',
    );
    expect(run.json).toMatchObject({ issued_before_ms: t.clock() - 1000 });
    expect((await terminal.as('riley', 'revoke', 'everything', 'x', ...WHY)).code).toBe(2);
    expect((await terminal.as('riley', 'revoke', 'subject', 'x')).code).toBe(2);
    const unknown = await terminal.as('riley', 'revoke', 'trust-rule', 'payments-deplox', ...WHY, '--yes');
    expect(unknown).toMatchObject({ code: 1, err: expect.stringContaining('payments-deploy') });
    expect((await terminal.as('dana', 'revoke', 'subject', 'emp-1', ...WHY)).code).toBe(4);
  });
});

describe('countersign revocations', () => {
  it('lists, shows and lifts, with two persons', async () => {
    const { id } = (await terminal.as('riley', 'revoke', 'subject', 'emp-1001', ...WHY, '--json')).json;
    const list = await terminal.as('avery', 'revocations', 'list', '--kind', 'subject');
    expect(list.out).toMatch(
      new RegExp(`${id} +subject emp-1001 .* person:demo:riley +incident +INC-7 +-\n$`),
    );
    const shown = await terminal.as('avery', 'revocations', 'show', id);
    expect(shown.out).toContain('revoked  subject emp-1001\n');
    const proposed = await terminal.as('riley', 'revocations', 'lift', id, '--reason', 'found it');
    expect(proposed).toMatchObject({
      code: 3,
      out: expect.stringContaining(`revocation ${id} of subject emp-1001`),
    });
    const request = /request {2}(\S+)/.exec(proposed.out)?.[1] ?? '';
    expect((await terminal.as('sam', 'show', request)).out).toContain(
      `does     lift revocation ${id} of subject emp-1001`,
    );
    expect((await terminal.as('sam', 'list', '--kind', 'revocation.lift')).out).toContain(
      `lift revocation ${id}`,
    );
    const { digest } = (await t.call('sam', 'GET', `/v1/requests/${request}`)).body;
    const approved = await terminal.as('sam', 'approve', request, '--digest', digest);
    expect(approved.code).toBe(0);
    expect((await terminal.as('avery', 'revocations', 'list')).out).toBe('No results.\n');
    const all = await terminal.as('avery', 'revocations', 'list', '--state', 'all', '--json');
    expect(all.json.items).toMatchObject([{ id, lifted_by: { request } }]);
  });

  it('shows a void approval as void', async () => {
    await createFlag(t, 'danger', { tier: 'high-risk' });
    const { body } = await propose(t, [{ action: 'enable', flag: 'danger' }], { ticket: TICKET });
    await t.call('alex+mfa', 'POST', `/v1/requests/${body.id}/approve`, { digest: body.digest });
    await terminal.as('riley', 'revoke', 'subject', 'emp-1002', ...WHY);
    const { out } = await terminal.as('avery', 'show', body.id);
    expect(out).toMatch(
      /approved by emp-1002, Wed 18 Nov 2026, .+ UTC \(void since Wed 18 Nov 2026, .+ UTC\)/,
    );
  });
});

describe('countersign drill revocation', () => {
  it('proves that a revoked token is refused, and names the record', async () => {
    const run = await terminal.as('riley', 'drill', 'revocation');
    expect(run.code).toBe(0);
    expect(run.out).toMatch(/^drill {4}\S+ passed\n( {2}(mint|use|revoke|refuse) +ok .*\n){4}evidence\n/);
    const record = /decisions (\S+)/.exec(run.out)?.[1] ?? '';
    const shown = await terminal.as('avery', 'decisions', record, '--json');
    expect(shown.json.outcome.note.code).toBe('drill_passed');
  });

  it('exits with an error when a step is not as it must be', async () => {
    await terminal.as('riley', 'revoke', 'subject', 'workload:countersign:drill', ...WHY);
    const run = await terminal.as('riley', 'drill', 'revocation');
    expect(run.code).toBe(1);
    expect(run.out).toMatch(/failed\n[\s\S]*use +FAILED .* answered 401, expected 200/);
  });

  it('is for those who may', async () => {
    expect((await terminal.as('dana', 'drill', 'revocation')).code).toBe(4);
  });
});
