import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { applyChanges, approve, createFlag, readFlag, readRequest } from '../support/flags.ts';
import { createTerminal, type Terminal } from './support.ts';

let t: TestBroker;
let terminal: Terminal;

beforeAll(async () => {
  t = await startTestBroker();
  terminal = createTerminal(t);
});
afterAll(() => t.close());

const inProduction = ['propose', '--environment', 'production', '--reason', 'a test'] as const;

describe('propose', () => {
  it('exits with 0 and says so when the change is applied at once', async () => {
    const flag = await createFlag(t, 'cli-applied', { tier: 'informational' });
    const run = await terminal.as('dana', ...inProduction, '--enable', flag);
    expect(run.code).toBe(0);
    expect(run.out).toMatch(/^applied {2}cli-applied {2}production {2}1 → 2\nrequest {2}[0-9a-f-]{36}\n$/);
    expect((await readFlag(t, flag)).states.production.enabled).toBe(true);
  });

  it('exits with 3 and names the exact command that clears each gate when it waits', async () => {
    const flag = await createFlag(t, 'cli-pending');
    const run = await terminal.as('dana', ...inProduction, '--enable', flag);
    expect(run.code).toBe(3);
    const id = /^request {2}(\S+)/m.exec(run.out)?.[1] ?? '';
    const { digest } = await readRequest(t, id);
    expect(run.out.split('\n')).toEqual([
      'pending  cli-pending  production  enable',
      `request  ${id}`,
      `digest   ${digest}`,
      'missing',
      expect.stringMatching(/^ {2}approval_required: .* cleared by: flag-approver$/),
      `    countersign approve ${id} --digest ${digest}`,
      '',
    ]);
  });

  it('prints commands for the broker that it was told to use', async () => {
    const flag = await createFlag(t, 'cli-elsewhere');
    const run = await terminal.as('dana', ...inProduction, '--enable', flag, '--broker', `${t.url}/`);
    expect(run.out).toMatch(new RegExp(`countersign approve .* --broker ${t.url}/\\n`));
  });

  it('prints exactly one JSON document with --json, whatever the outcome', async () => {
    const flag = await createFlag(t, 'cli-json');
    const waiting = await terminal.as('dana', ...inProduction, '--enable', flag, '--json');
    expect([waiting.code, waiting.json.state]).toEqual([3, 'pending']);
    expect(waiting.err).toBe('');
    const denied = await terminal.as('avery', ...inProduction, '--enable', flag, '--json');
    expect([denied.code, denied.json.code, denied.json.status]).toEqual([4, 'policy_denied', 403]);
    const faulty = await terminal.as('dana', ...inProduction, '--enable', 'no-such-flag', '--json');
    expect([faulty.code, faulty.json.code]).toEqual([1, 'not_found']);
    const usage = await terminal.as('dana', ...inProduction, '--json');
    expect([usage.code, usage.json.code]).toEqual([2, 'usage']);
    const unknownOption = await terminal.as('dana', ...inProduction, '--json', '--enabel', flag);
    expect([unknownOption.code, unknownOption.json.code]).toEqual([2, 'usage']);
  });

  it('exits with 4 and prints reasons, gates and the decision when policy denies', async () => {
    const flag = await createFlag(t, 'cli-denied');
    const run = await terminal.as('avery', ...inProduction, '--enable', flag);
    expect(run.code).toBe(4);
    expect(run.out).toBe('');
    expect(run.err).toContain('The policy denies this operation (policy_denied)');
    expect(run.err).toMatch(/^denied because$/m);
    expect(run.err).not.toMatch(/^missing$/m);
    const lines = run.err.split('\n').map((line) => line.replace(/^ *(\w+: )?| {2}cleared by.*$/g, ''));
    expect(new Set(lines).size).toBe(lines.length);
    expect(run.err).toMatch(/^decision [0-9a-f-]{36}$/m);
  });

  it('exits with 1 when there is no broker', async () => {
    const run = await terminal.as('dana', 'list', '--broker', 'http://127.0.0.1:9', '--json');
    expect([run.code, run.json.code]).toEqual([1, 'broker_unreachable']);
  });

  it('points at the place of each fault', async () => {
    const run = await terminal.as('dana', ...inProduction, '--enable', 'Not-A-Key');
    expect(run.code).toBe(1);
    expect(run.err).toContain('#/changes/0/flag');
  });

  it('keeps the order of several changes of different kinds', async () => {
    const flag = await createFlag(t, 'cli-order');
    const run = await terminal.as(
      'dana',
      ...inProduction,
      ...['--disable', 'x', '--set-audience', flag, '--audience', 'org:acme,org:globex'],
      ...['--rollout', flag, 'on=25,off=75', '--return-to', `${flag}@1`, '--retire', flag, '--yes', '--json'],
    );
    // The first change names no flag; so the broker refuses, having read them all.
    expect(run.json.errors[0].pointer).toMatch(/^#\/changes\/0/);
    const applied = await terminal.as(
      'dana',
      ...['propose', '--environment', 'development', '--reason', 'a test', '--json'],
      ...['--set-audience', flag, '--audience', 'org:acme,org:globex', '--enable', flag],
      ...['--rollout', flag, 'on=25,off=75'],
    );
    expect(applied.code).toBe(0);
    expect(applied.json.changes.map((change: { action: string }) => change.action)).toEqual([
      'set_audience',
      'enable',
      'set_rollout',
    ]);
    expect((await readFlag(t, flag)).states.development).toMatchObject({
      audience: { kind: 'some', organizations: ['acme', 'globex'] },
      rollout: [
        { variant: 'on', percent: 25 },
        { variant: 'off', percent: 75 },
      ],
    });
  });

  it.each([
    [['--audience', 'all'], 'must directly follow'],
    [['--set-audience', 'f'], 'requires --audience'],
    [['--set-audience', 'f', '--audience', 'acme'], 'Invalid audience'],
    [['--rollout', 'f'], 'requires shares'],
    [['--rollout', 'f', 'half'], 'Invalid share'],
    [['--return-to', 'f'], 'has no version'],
    [['--file', '/does/not/exist'], 'cannot be read'],
    [['--enable', 'f', '--wait', '--timeout', 'soon'], 'Invalid duration'],
    [['--apply', 'later', '--enable', 'f'], 'Allowed choices'],
    [['--enable', 'f', '--start', 'nonsense'], 'such as 1795248000000, or none'],
    [['--enable', 'f', '--start', '2026-02-30'], 'invalid time'],
    [['--enable', 'f', '--start', '2026-11-21T09:00:00'], 'invalid time'],
    [[], 'Specify what to change'],
  ])('exits with 2 and sends nothing for %j', async (words, says) => {
    const run = await createTerminal(t, {
      env: { COUNTERSIGN_TOKEN: 'unused' },
      fetch: async () => {
        throw new Error('something was sent');
      },
    }).run(...inProduction, ...words);
    expect(run.code).toBe(2);
    expect(run.err).toContain(says);
  });

  it('tells each flag and place whose version moves once, when it is applied', async () => {
    await createFlag(t, 'cli-places', { tier: 'informational' });
    const changes = [
      { action: 'update', flag: 'cli-places', set: { purpose: 'Another purpose.' } },
      { action: 'set_rollout', flag: 'cli-places', rollout: null, default_variant: 'off' },
      { action: 'enable', flag: 'cli-places' },
    ];
    const stdin = createTerminal(t, { readStdin: async () => JSON.stringify(changes) });
    const words = ['propose', '--environment', 'development', '--reason', 'a test', '--file', '-'];
    const run = await stdin.as('dana', ...words);
    expect(run.out.split('\n').slice(0, 2)).toEqual([
      'applied  cli-places  every environment  1 → 2',
      'applied  cli-places  development  1 → 2',
    ]);
    const { states, purpose } = await readFlag(t, 'cli-places');
    expect([states.development.version, purpose]).toEqual([2, 'Another purpose.']);
  });

  it.each([
    ['2026-11-19', '2026-11-19T00:00:00Z'],
    ['2026-11-19T09:00+01:00', '2026-11-19T08:00:00Z'],
    [String(Date.parse('2026-11-19T08:00:00Z')), '2026-11-19T08:00:00Z'],
  ])('--start takes %s', async (text, moment) => {
    const flag = await createFlag(t, `cli-start-${text.length}`);
    const run = await terminal.as('dana', ...inProduction, '--enable', flag, '--start', text, '--json');
    expect([run.code, run.json.start_ms]).toEqual([3, Date.parse(moment)]);
    const none = await terminal.as('dana', 'edit', run.json.id, '--start', 'none', '--json');
    expect(none.json.start_ms).toBeNull();
  });

  it('takes a request from a file, lets options override it, and a list from standard input', async () => {
    const file = join(terminal.home, 'changes.yaml');
    await writeFile(
      file,
      `environment: staging
reason: from the file
changes:
  - action: create
    flag: cli-from-file
    definition:
      namespace: payments
      kind: release
      tier: informational
      owner: team-payments
      purpose: A flag of the tests.
      variants: { "on": true, "off": false }
      retirement: When the tests end.
`,
    );
    const created = await terminal.as(
      'dana',
      'propose',
      '--file',
      file,
      '--reason',
      'from the option',
      '--json',
    );
    expect(created.json).toMatchObject({
      environment: 'staging',
      reason: 'from the option',
      state: 'applied',
    });
    const stdin = createTerminal(t, {
      readStdin: async () => '[{"action":"enable","flag":"cli-from-file"}]',
    });
    const enabled = await stdin.as('dana', ...inProduction, '--file', '-', '--json');
    expect(enabled.json).toMatchObject({ state: 'applied', environment: 'production' });
  });

  it('says one thing of a file that is neither YAML nor JSON, and of which line', async () => {
    const file = join(terminal.home, 'not.yaml');
    await writeFile(file, 'hello [ this is: not: yaml }\n - x\n"');
    const run = await terminal.as('dana', ...inProduction, '--file', file);
    expect([run.code, run.out]).toEqual([2, '']);
    expect(run.err.trimEnd().split('\n')).toEqual([
      expect.anything(),
      expect.stringMatching(/not\.yaml is not usable YAML or JSON: [^;]+ at line 1, column \d+$/),
    ]);
    await writeFile(file, 'reason: a\nreason: b\nticket: a\nticket: b\n');
    const twice = await terminal.as('dana', ...inProduction, '--file', file);
    expect(twice.err).toMatch(/at line 2, .*; .* at line 4, /);
  });

  it('takes the earliest time by either of its names', async () => {
    await createFlag(t, 'cli-later', { tier: 'informational' });
    for (const name of ['--start', '--at']) {
      const run = await terminal.as(
        'dana',
        ...inProduction,
        '--enable',
        'cli-later',
        name,
        '2026-11-20',
        '--json',
      );
      expect(run.json).toMatchObject({ start_ms: expect.any(Number), state: 'ready' });
      await terminal.as('dana', 'withdraw', run.json.id);
    }
  });

  it('proposes once for one idempotency key, and shows the request as it is now', async () => {
    const flag = await createFlag(t, 'cli-once');
    const words = [...inProduction, '--enable', flag, '--idempotency-key', 'run-7', '--json'];
    const first = await terminal.as('dana', ...words);
    await approve(t, 'alex+mfa', first.json);
    const second = await terminal.as('dana', ...words);
    expect(second.json).toMatchObject({ id: first.json.id, state: 'applied' });
    expect([first.code, second.code]).toEqual([3, 0]);
  });

  it('sends again with the same key when the answer got lost, and proposes only once', async () => {
    const flag = await createFlag(t, 'cli-lost');
    let lost = 0;
    const shaky = createTerminal(t, {
      sleep: async () => undefined,
      fetch: async (input, init) => {
        const answer = await fetch(input, init);
        if (init?.method !== 'POST' || lost === 2) return answer;
        lost += 1;
        throw new TypeError('fetch failed', { cause: { code: 'ECONNRESET' } });
      },
    });
    const run = await shaky.as('dana', ...inProduction, '--enable', flag, '--json');
    expect(run.code).toBe(3);
    expect(lost).toBe(2);
    const listed = await terminal.as('dana', 'list', '--flag', flag, '--state', 'open', '--json');
    expect(listed.json.items.map(({ id }: { id: string }) => id)).toEqual([run.json.id]);
  });
});

describe('propose --wait', () => {
  /** A terminal whose every sleep lets `meanwhile` happen, and the clock go on. */
  function waiting(meanwhile: (sleeps: number) => Promise<unknown>): Terminal & { slept: number[] } {
    const slept: number[] = [];
    const sleeping = createTerminal(t, {
      sleep: async (ms) => {
        slept.push(ms);
        t.clock.advance(ms);
        await meanwhile(slept.length);
      },
    });
    return { ...sleeping, slept };
  }

  it('ends with 0 once somebody has approved, telling each change of what is missing', async () => {
    const flag = await createFlag(t, 'cli-wait');
    const patient = waiting(async (sleeps) => {
      if (sleeps !== 3) return;
      const { body } = await t.call('dana', 'GET', `/v1/requests?flag=${flag}&state=open`);
      await approve(t, 'alex+mfa', body.items[0]);
    });
    const run = await patient.as('dana', ...inProduction, '--enable', flag, '--wait', '--json');
    expect([run.code, run.json.state]).toEqual([0, 'applied']);
    expect(run.err.match(/is pending, missing: approval_required/g)).toHaveLength(1);
    expect(run.err).toContain('is applied');
    expect(patient.slept).toEqual([2000, 3000, 4500]);
  });

  it('ends with 4 once somebody has rejected', async () => {
    const flag = await createFlag(t, 'cli-wait-rejected');
    const patient = waiting(async () => {
      const { body } = await t.call('dana', 'GET', `/v1/requests?flag=${flag}&state=open`);
      const [request] = body.items;
      await t.call('alex+mfa', 'POST', `/v1/requests/${request.id}/reject`, { digest: request.digest });
    });
    const run = await patient.as('dana', ...inProduction, '--enable', flag, '--wait', '--json');
    expect([run.code, run.json.state]).toEqual([4, 'rejected']);
  });

  it('ends with 5 when the flag has moved meanwhile', async () => {
    const flag = await createFlag(t, 'cli-wait-conflict', { tier: 'sensitive' });
    const patient = waiting(async () => {
      const { body } = await t.call('dana', 'GET', `/v1/requests?flag=${flag}&state=open`);
      await applyChanges(t, [{ action: 'enable', flag }]);
      const mine = body.items.find(({ reason }: { reason: string }) => reason === 'a test');
      for (const who of ['alex+mfa', 'casey+mfa']) await approve(t, who, mine);
    });
    const words = [...inProduction, '--enable', flag, '--ticket', 'PAY-17', '--wait', '--json'];
    const run = await patient.as('dana', ...words);
    expect([run.code, run.json.state]).toEqual([5, 'conflicted']);
  });

  it('ends with 3 when the time is over, and leaves the request open', async () => {
    const flag = await createFlag(t, 'cli-wait-over');
    const patient = waiting(async () => undefined);
    const words = [...inProduction, '--enable', flag, '--wait', '--timeout', '60s', '--json'];
    const run = await patient.as('dana', ...words);
    expect([run.code, run.json.state]).toEqual([3, 'pending']);
    expect(patient.slept.reduce((sum, ms) => sum + ms)).toBe(60_000);
    expect(Math.max(...patient.slept)).toBe(15_000);
  });

  it('goes on when the broker is away for a while, and slows down when asked to', async () => {
    const flag = await createFlag(t, 'cli-wait-away');
    const slept: number[] = [];
    let reads = 0;
    const patient = createTerminal(t, {
      sleep: async (ms) => {
        slept.push(ms);
      },
      fetch: async (input, init) => {
        if (init?.method !== 'GET') return fetch(input, init);
        reads += 1;
        if (reads === 1) throw new TypeError('fetch failed', { cause: { code: 'ECONNREFUSED' } });
        if (reads === 2) {
          const problem = { code: 'shutting_down', title: 'Stopping', detail: 'Try again.' };
          return Response.json(problem, { status: 503, headers: { 'retry-after': '40' } });
        }
        const { body } = await t.call('dana', 'GET', `/v1/requests?flag=${flag}&state=open`);
        for (const request of body.items) await approve(t, 'alex+mfa', request);
        return fetch(input, init);
      },
    });
    const run = await patient.as('dana', ...inProduction, '--enable', flag, '--wait', '--json');
    expect([run.code, run.json.state]).toEqual([0, 'applied']);
    expect(slept[2]).toBe(40_000);
  });
});

// The last: no record may be before those that it makes.
describe('propose in the evening', () => {
  it('names the option that brings a missing ticket, and no command where only time helps', async () => {
    const flag = await createFlag(t, 'cli-ticket', { tier: 'sensitive' });
    t.clock.advance(14 * 3_600_000);
    const run = await terminal.as('dana', ...inProduction, '--enable', flag);
    expect(run.out).toMatch(/^ {4}countersign edit [0-9a-f-]{36} --ticket …$/m);
    expect(run.out).toMatch(
      /window_closed: .* It opens on .* cleared by: time\n {4}opens {2}\w{3} \d+ \w{3} 2026, [\d:]+ UTC(; here .* \(.*\))?(\n {2}\S|\n$)/,
    );
  });
});
