import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { signIn } from '../support/activation.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { recipeParts } from '../support/cookbook.ts';
import { createFlag, propose } from '../support/flags.ts';
import { createTerminal, type Terminal } from './support.ts';

/* From an empty folder to an active policy, on a real broker, with the command line alone. */

const OPA = fileURLToPath(new URL('../../.cache/bin/opa', import.meta.url));
const hasOpa = existsSync(OPA);
if (!hasOpa)
  process.emitWarning('SKIPPED: policies with own Rego, because .cache/bin/opa is not built (make policies)');

let t: TestBroker;
let terminal: Terminal;
let folder: string;
let file: string;

beforeEach(async () => {
  t = await startTestBroker();
  terminal = createTerminal(t, { env: { PATH: '/nowhere' } });
  folder = join(t.folder, 'policy');
  file = join(t.folder, 'next.tar.gz');
  await signIn(t);
});
afterEach(() => t.close());

async function succeed(...words: string[]): Promise<void> {
  const run = await terminal.run(...words);
  expect(run.code, `${words.join(' ')}\n${run.out}${run.err}`).toBe(0);
}

/** Begins a project for the people of the broker's identity provider. */
async function init(): Promise<void> {
  const groups = [
    'flag-deployer=payments-developers',
    'flag-approver=payments-approvers',
    'security-approver=security',
    'account-approver=customer-success',
    'flag-emergency-override=responders',
    'flag-auditor=auditors',
    'policy-maintainer=platform',
  ];
  await succeed(
    'policy',
    'init',
    folder,
    '--issuer',
    t.people.issuer,
    '--zone',
    'Europe/Berlin',
    '--group',
    ...groups,
  );
}

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(folder, path)), { recursive: true });
  await writeFile(join(folder, path), text);
}

/** Checks, tests, builds, uploads and proposes the project, and has it approved by two others. @returns its policy hash */
async function activate(opa: readonly string[] = []): Promise<string> {
  await succeed('policy', 'check', folder, ...opa);
  await succeed('policy', 'test', folder, ...opa);
  await succeed('policy', 'build', folder, '-o', file, '--revision', 'ours', ...opa);
  expect((await terminal.as('morgan', 'policy', 'upload', file)).code).toBe(0);
  const proposed = await terminal.as('morgan', 'policy', 'propose', file, '--reason', 'our own', '--json');
  expect([proposed.code, proposed.json.state], proposed.out).toEqual([3, 'pending']);
  const { id, digest } = proposed.json;
  expect((await terminal.as('morgan', 'approve', id, '--digest', digest)).code).toBe(4);
  for (const who of ['jordan', 'sam']) {
    const approved = await terminal.as(who, 'approve', id, '--digest', digest);
    expect(approved.code, approved.out + approved.err).toBe(0);
  }
  const [active] = (await terminal.as('avery', 'policy', 'show', '--json')).json.items;
  expect(active).toMatchObject({ request_id: id, revision: 'ours' });
  return active.policy_hash;
}

const enable = (flag: string, fields: Record<string, unknown> = {}) =>
  propose(t, [{ action: 'enable', flag }], { environment: 'production', ...fields });

describe('from an empty folder to an active policy', () => {
  it('with data alone, and without opa', { timeout: 60_000 }, async () => {
    await init();
    // What the shipped start does not have: nobody approves in production but for what is high-risk.
    const path = 'data/config/tiers/data.yaml';
    const tiers = await readFile(join(folder, path), 'utf8');
    await write(
      path,
      tiers.replace('approvals: {flag-approver: 1}, ticket: false', 'approvals: {}, ticket: false'),
    );
    await write(
      'cases/decisions.json',
      JSON.stringify([
        { name: 'operational', changes: [{ flag: { tier: 'operational' } }], expected: { effect: 'allow' } },
      ]),
    );
    await createFlag(t, 'checkout', { tier: 'operational' });
    expect((await enable('checkout')).body.state).toBe('pending');
    const hash = await activate();
    expect((await enable('checkout')).body).toMatchObject({
      state: 'applied',
      standing: { policy_hash: hash },
    });
  });

  it.skipIf(!hasOpa)('with a rule of its own', { timeout: 90_000 }, async () => {
    await init();
    await write(
      'countersign/own/words.rego',
      'package countersign.own\n\ndeny contains {"code": "own_rule", "detail": "Say it in other words."} if {\n\tcontains(input.request.reason, "asap")\n}\n',
    );
    const hash = await activate(['--opa', OPA]);
    await createFlag(t, 'checkout', { tier: 'informational' });
    const denied = await enable('checkout', { reason: 'asap' });
    expect([denied.status, denied.body.reasons]).toEqual([
      403,
      [{ code: 'own_rule', detail: 'Say it in other words.' }],
    ]);
    expect((await enable('checkout')).body).toMatchObject({
      state: 'applied',
      standing: { policy_hash: hash },
    });
  });
});

describe.skipIf(!hasOpa)('rules of the cookbook, on a broker', () => {
  it('an hour’s cooling-off waits as ready, says until when, and is applied by the scheduler', {
    timeout: 90_000,
  }, async () => {
    await init();
    for (const { path, text } of recipeParts('Cooling-off between proposal and apply').rego)
      await write(path, text);
    await write('cases/decisions.json', '[]');
    await createFlag(t, 'checkout', { tier: 'informational' });
    await activate(['--opa', OPA]);
    const proposedMs = t.clock();
    const { body: waiting } = await enable('checkout');
    expect(waiting).toMatchObject({
      state: 'ready',
      gates: [{ code: 'window_closed', cleared_by: 'time', opens_ms: proposedMs + 3_600_000 }],
    });
    expect(waiting.gates[0].detail).toContain('It opens on');
    const explained = await t.call('dana', 'POST', '/v1/policy/explain', { request: waiting.id });
    expect(explained.body.obligations).toMatchObject([
      { effect_if_met: 'allow', opens: { opens_ms: proposedMs + 3_600_000 } },
    ]);
    t.clock.advance(3_599_000);
    await t.broker.scheduler.tick();
    expect((await t.call('dana', 'GET', `/v1/requests/${waiting.id}`)).body.state).toBe('ready');
    t.clock.advance(61_000);
    await t.broker.scheduler.tick();
    expect((await t.call('dana', 'GET', `/v1/requests/${waiting.id}`)).body.state).toBe('applied');
  });

  it('a limit an hour counts what was applied, also in one batch, and opens when the hour is over', {
    timeout: 90_000,
  }, async () => {
    await init();
    const { rego, data } = recipeParts('Limit of changes an hour');
    for (const { path, text } of [...rego, ...data])
      await write(path, text.replace('_changes_an_hour := 5', '_changes_an_hour := 2'));
    await write('cases/decisions.json', '[]');
    for (const flag of ['one', 'two', 'three']) await createFlag(t, flag, { tier: 'informational' });
    await activate(['--opa', OPA]);
    // What created the flags is older than an hour.
    t.clock.advance(3_600_001);
    const startMs = t.clock();
    const answers = await Promise.all(['one', 'two', 'three'].map((flag) => enable(flag)));
    const states = answers.map(({ body }) => body.state);
    expect(states.toSorted()).toEqual(['applied', 'applied', 'ready']);
    const late = answers.find(({ body }) => body.state === 'ready')?.body;
    expect(late).toMatchObject({
      standing: { reasons: [{ code: 'held_by_pace' }] },
      gates: [{ code: 'window_closed', opens_ms: startMs + 3_600_000 }],
    });
    t.clock.advance(3_599_000);
    await t.broker.scheduler.tick();
    expect((await t.call('dana', 'GET', `/v1/requests/${late.id}`)).body.state).toBe('ready');
    t.clock.advance(61_000);
    await t.broker.scheduler.tick();
    expect((await t.call('dana', 'GET', `/v1/requests/${late.id}`)).body.state).toBe('applied');
  });
});
