import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { approve, createFlag, propose, readRequest } from '../support/flags.ts';
import { createTerminal, type Terminal } from './support.ts';

let t: TestBroker;
let terminal: Terminal;
/** A terminal with somebody who confirms. */
let asked: Terminal;

beforeAll(async () => {
  t = await startTestBroker();
  terminal = createTerminal(t);
  asked = createTerminal(t, { ask: async () => 'y' });
});
afterAll(() => t.close());

/** An open request to switch a new flag on. */
// biome-ignore lint/suspicious/noExplicitAny: requests as they are answered
async function openRequest(flag: string, fields: Record<string, unknown> = {}): Promise<any> {
  await createFlag(t, flag);
  return (await propose(t, [{ action: 'enable', flag }], fields)).body;
}

describe('approve', () => {
  it('shows what it is about before it approves exactly that', async () => {
    const request = await openRequest('vote-shown', { reason: 'one\ndigest   sha256:fake' });
    const run = await asked.as('alex+mfa', 'approve', request.id, '--comment', 'fine', '--json');
    expect([run.code, run.json.state]).toEqual([0, 'applied']);
    expect(run.json.approvals[0]).toMatchObject({ digest: request.digest, comment: 'fine' });
    // One line a change, and a reason cannot look like a line of the command's own.
    expect(run.err.split('\n')).toEqual([
      '1. enable vote-shown in production (payments, release, operational): enabled: false → true (on: currently reaches no one, and will reach someone)',
      'by       person:demo:dana: one digest   sha256:fake',
      `digest   ${request.digest}`,
      `in full  countersign show ${request.id}`,
      '',
    ]);
  });

  it('prints one line when that was all that was missing, else what is missing still', async () => {
    const request = await openRequest('vote-result');
    const run = await asked.as('alex+mfa', 'approve', request.id);
    expect(run.out).toBe('applied  vote-result  production  1 → 2\n');
    await createFlag(t, 'vote-second', { tier: 'high-risk' });
    const two = (await propose(t, [{ action: 'enable', flag: 'vote-second' }], { ticket: 'PAY-1' })).body;
    const first = await asked.as('alex+mfa', 'approve', two.id);
    expect(first.out).toMatch(/^pending {2}vote-second {2}production {2}enable\nrequest {2}/);
    expect(first.out).toMatch(/^ {2}approval_required: .* cleared by: \S+\n {4}countersign approve /m);
  });

  it('counts what is too long for a line, and says so when the count is the same', async () => {
    await createFlag(t, 'vote-long');
    const audience = (organizations: string[]) => ({
      action: 'set_audience',
      flag: 'vote-long',
      audience: { kind: 'some', organizations, users: [] },
    });
    const names = (from: number) => Array.from({ length: 7 }, (_, place) => `org-${from + place}`);
    const first = (await propose(t, [{ action: 'enable', flag: 'vote-long' }, audience(names(1))])).body;
    const shown = await asked.as('alex+mfa', 'approve', first.id);
    expect(shown.err).toContain('audience: all → 7 organizations, 0 users');
    const second = (await propose(t, [audience(names(2))])).body;
    const again = await asked.as('alex+mfa', 'approve', second.id);
    expect(again.err).toContain('audience: changed, 7 organizations, 0 users');
    expect(again.err).toContain('organizations added org-8; organizations removed org-1');
    const third = (await propose(t, [audience(names(20))])).body;
    expect((await asked.as('alex+mfa', 'approve', third.id)).err).toMatch(
      /organizations added (org-\d+, ){4}org-\d+ and 2 more/,
    );
    expect((await terminal.as('dana', 'show', third.id)).out).not.toContain('and 2 more');
  });

  it('asks at a terminal, and sends nothing without confirmation', async () => {
    const request = await openRequest('vote-asked');
    const questions: string[] = [];
    const at = (answer: string) =>
      createTerminal(t, {
        ask: async (question) => {
          questions.push(question);
          return answer;
        },
      });
    const no = await at('').as('alex+mfa', 'approve', request.id, '--json');
    expect([no.code, no.json.code]).toEqual([1, 'not_confirmed']);
    expect((await readRequest(t, request.id)).approvals).toEqual([]);
    const { digest } = request;
    const unasked = await at('no').as('alex+mfa', 'approve', request.id, '--yes', '--digest', digest);
    expect([unasked.code, questions.length]).toEqual([0, 1]);
  });

  it('exits with 5 when the request is not the one of --digest, or moved after it was shown', async () => {
    const request = await openRequest('vote-moved');
    const edited = await t.call(
      'dana',
      'PATCH',
      `/v1/requests/${request.id}`,
      { reason: 'another' },
      { 'if-match': '*' },
    );
    const run = await terminal.as('alex+mfa', 'approve', request.id, '--digest', request.digest, '--json');
    expect(run).toMatchObject({ code: 5, json: { code: 'digest_mismatch', digest: edited.body.digest } });

    const late = createTerminal(t, {
      ask: async () => {
        await t.call('dana', 'PATCH', `/v1/requests/${request.id}`, { reason: 'x' }, { 'if-match': '*' });
        return 'y';
      },
    });
    const moved = await late.as('alex+mfa', 'approve', request.id, '--json');
    expect([moved.code, moved.json.code]).toEqual([5, 'digest_mismatch']);
    expect((await readRequest(t, request.id)).approvals).toEqual([]);
  });

  it('exits with 2 for an invalid digest', async () => {
    const request = await openRequest('vote-digest');
    const run = await terminal.as('alex+mfa', 'approve', request.id, '--digest', 'sha256:12');
    expect(run.code).toBe(2);
  });

  it('exits with 4 for the one who proposed', async () => {
    const request = await openRequest('vote-self');
    const run = await asked.as('dana-alt+mfa', 'approve', request.id, '--json');
    expect([run.code, run.json.code]).toEqual([4, 'policy_denied']);
  });

  it('says how to sign in again where the policy requires a stronger sign-in', async () => {
    await createFlag(t, 'vote-strong', { tier: 'high-risk' });
    const request = (await propose(t, [{ action: 'enable', flag: 'vote-strong' }], { ticket: 'PAY-1' })).body;
    const run = await asked.as('alex', 'approve', request.id);
    expect(run.code).toBe(7);
    expect(run.err).toContain('sign_in_required');
    // A token that was set by hand counts before every sign-in.
    expect(run.err).toMatch(/^ {4}unset COUNTERSIGN_TOKEN; countersign login --mfa$/m);
    expect(run.err.match(/A sign-in of level/g)).toHaveLength(1);
  });
});

describe('reject, withdraw and edit', () => {
  it('reject ends a request, and a second vote exits with 5', async () => {
    const request = await openRequest('end-rejected');
    const run = await asked.as('alex', 'reject', request.id, '--comment', 'not now', '--json');
    expect([run.code, run.json.state]).toEqual([0, 'rejected']);
    const again = await asked.as('sam+mfa', 'approve', request.id, '--json');
    expect([again.code, again.json.code]).toEqual([5, 'request_closed']);
  });

  it('withdraw takes it back', async () => {
    const request = await openRequest('end-withdrawn');
    const run = await terminal.as('dana', 'withdraw', request.id);
    expect(run.code).toBe(0);
    expect(run.out).toBe('withdrawn  end-withdrawn  production  enable\n');
  });

  it('edit changes what is given and keeps the rest, and voids the approvals', async () => {
    const request = await openRequest('edit-parts');
    const run = await terminal.as('dana', 'edit', request.id, '--reason', 'better', '--json');
    expect(run.code).toBe(3);
    expect(run.json).toMatchObject({ reason: 'better', changes: request.changes });
    expect(run.json.digest).not.toBe(request.digest);
    const changed = await terminal.as(
      'dana',
      'edit',
      request.id,
      '--rollout',
      'edit-parts',
      'on=5,off=95',
      '--json',
    );
    expect(changed.json.changes[0].action).toBe('set_rollout');
    expect((await terminal.as('dana', 'edit', request.id)).code).toBe(2);
  });

  it('edit exits with 5 when somebody else was faster', async () => {
    const request = await openRequest('edit-race');
    const slow = createTerminal(t, {
      fetch: async (input, init) => {
        if (init?.method === 'PATCH') {
          const path = `/v1/requests/${request.id}`;
          await t.call('dana', 'PATCH', path, { reason: 'faster' }, { 'if-match': '*' });
        }
        return fetch(input, init);
      },
    });
    const run = await slow.as('dana', 'edit', request.id, '--reason', 'slower', '--json');
    expect([run.code, run.json.code]).toEqual([5, 'digest_mismatch']);
    expect((await readRequest(t, request.id)).reason).toBe('faster');
  });
});

describe('apply, rebase and schedule', () => {
  it('apply exits with 3 and shows what is missing while policy holds, and with 0 once nothing is', async () => {
    const request = await openRequest('move-apply', { apply: 'manual' });
    const held = await terminal.as('dana', 'apply', request.id, '--json');
    expect([held.code, held.json.state]).toEqual([3, 'pending']);
    expect(held.json.gates[0].code).toBe('approval_required');
    await approve(t, 'alex+mfa', request);
    const ready = await terminal.as('dana', 'show', request.id);
    expect(ready.out).toContain(`    countersign apply ${request.id}`);
    const applied = await terminal.as('dana', 'apply', request.id, '--json');
    expect([applied.code, applied.json.state]).toEqual([0, 'applied']);
    expect((await terminal.as('dana', 'apply', request.id)).code).toBe(0);
  });

  it('apply exits with 4 for somebody who may not', async () => {
    const request = await openRequest('move-denied', { apply: 'manual' });
    await approve(t, 'alex+mfa', request);
    const run = await terminal.as('avery', 'apply', request.id, '--json');
    expect([run.code, run.json.code]).toEqual([4, 'policy_denied']);
  });

  it('apply exits with 5 when the flag moved, and a conflicted request prints how to propose it again', async () => {
    const request = await openRequest('move-conflict', { apply: 'manual' });
    await approve(t, 'alex+mfa', request);
    const other = (await propose(t, [{ action: 'enable', flag: 'move-conflict' }])).body;
    await approve(t, 'alex+mfa', other);
    const run = await terminal.as('dana', 'apply', request.id);
    expect(run.code).toBe(5);
    expect(run.err).toContain('request_conflicted');
    expect(run.err).toMatch(/echo '\{.*\}' \| countersign propose --file -/);
  });

  it('rebase bases a request on the flags as they are now', async () => {
    const request = await openRequest('move-rebase');
    const narrowing = [{ action: 'set_audience', flag: 'move-rebase', audience: { kind: 'none' } }];
    const other = (await propose(t, narrowing)).body;
    expect((await approve(t, 'alex+mfa', other)).body.state).toBe('applied');
    const run = await terminal.as('dana', 'rebase', request.id, '--json');
    expect([run.code, run.json.state]).toEqual([3, 'pending']);
    expect(run.json.digest).not.toBe(request.digest);
  });

  it('schedule sets the start, and refuses an invalid time without sending anything', async () => {
    const request = await openRequest('move-schedule');
    const at = new Date(t.clock() + 3_600_000).toISOString();
    const run = await terminal.as('dana', 'schedule', request.id, '--start', at, '--json');
    expect([run.code, run.json.start_ms]).toEqual([0, Date.parse(at)]);
    expect((await terminal.as('dana', 'schedule', request.id)).code).toBe(2);
    const offline = createTerminal(t, { fetch: () => Promise.reject(new Error('something was sent')) });
    for (const text of ['tomorrow', '', '2026-13-01', '-5', 'none']) {
      const run = await offline.as('dana', 'schedule', request.id, `--at=${text}`);
      expect([run.code, run.out]).toEqual([2, '']);
      expect(run.err).toContain('2026-11-21T09:00:00+01:00');
    }
    const window = await terminal.as('dana', 'schedule', request.id, '--at', 'next_window', '--json');
    expect([window.code, window.json.start_ms]).toEqual([0, null]);
  });
});

describe('list and show', () => {
  it('show prints a request in full', async () => {
    const request = await openRequest('shown', { reason: 'one\ndigest   sha256:fake' });
    const { out } = await terminal.as('dana', 'show', request.id);
    expect(out).toContain(`request  ${request.id}  pending in production\ndigest   ${request.digest}\n`);
    expect(out).toContain(
      'enable shown in production (payments, release, operational): on: currently reaches no one, and will reach someone',
    );
    expect(out).toContain('enabled: false → true');
    expect(out).not.toMatch(/^digest {3}sha256:fake/m);
  });

  it('list follows the cursors with --all, and tells people that there is more without', async () => {
    for (const number of [1, 2, 3]) await openRequest(`listed-${number}`);
    const words = ['list', '--state', 'open', '--limit', '1'];
    const one = await terminal.as('dana', ...words);
    expect(one.out.trim().split('\n')).toHaveLength(2);
    const cursor = /--cursor (\S+)/.exec(one.err)?.[1] ?? '';
    const next = await terminal.as('dana', ...words, '--cursor', cursor, '--json');
    expect(next.json.items).toHaveLength(1);
    const all = await terminal.as('dana', ...words, '--all', '--json');
    const ids = all.json.items.map(({ id }: { id: string }) => id);
    expect(ids.length).toBeGreaterThanOrEqual(3);
    expect(new Set(ids).size).toBe(ids.length);
    expect(all.json.next_cursor).toBeNull();
  });

  it('show exits with 1 for a request that is not there, without reaching another path', async () => {
    for (const id of ['01890000-0000-7000-8000-000000000000', '../flags', 'a?b', '%2e%2e']) {
      const run = await terminal.as('dana', 'show', id, '--json');
      expect([run.code, run.json.code]).toEqual([1, 'not_found']);
    }
  });

  it('exits with 2 for an invalid id, and warns before a token is sent unencrypted', async () => {
    for (const id of ['', '.', '..']) {
      expect((await terminal.as('dana', 'show', id)).code).toBe(2);
      expect((await terminal.as('dana', 'withdraw', id)).code).toBe(2);
    }
    const offline = createTerminal(t, { fetch: () => Promise.reject(new TypeError('fetch failed')) });
    const plain = await offline.as('dana', 'list', '--broker', 'http://countersign.example');
    expect(plain.err).toContain('sent unencrypted');
    expect((await offline.as('dana', 'list')).err).not.toContain('sent unencrypted');
  });

  it('exits with 2 when the broker is not a URL', async () => {
    for (const url of ['countersign', 'ftp://x', 'http://user:secret@x']) {
      expect((await terminal.as('dana', 'list', '--broker', url)).code).toBe(2);
    }
  });
});
