import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { signIn, withConfig } from '../support/activation.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { createTerminal, type Terminal } from './support.ts';

let t: TestBroker;
let terminal: Terminal;
let file: string;

beforeAll(async () => {
  t = await startTestBroker();
  terminal = createTerminal(t);
  await signIn(t);
  file = join(t.folder, 'next.tar.gz');
  const shipped = await readFile(join(t.folder, 'bundle.tar.gz'));
  const next = await withConfig(shipped, ({ limits = {} }) => {
    limits.request_ttl_s = 1000;
  });
  await writeFile(file, next);
});
afterAll(() => t.close());

it('proposes a bundle, shows the activations, and saves what is active', async () => {
  const proposed = await terminal.as('morgan', 'policy', 'propose', file, '--reason', 'shorter', '--json');
  expect([proposed.code, proposed.json.kind, proposed.json.state]).toEqual([3, 'policy.activate', 'pending']);
  const before = await terminal.as('avery', 'policy', 'show', '--json');
  expect(before.json.items).toHaveLength(1);
  const { id, digest } = proposed.json;
  for (const who of ['jordan', 'sam']) {
    expect((await terminal.as(who, 'approve', id, '--digest', digest)).code).toBe(0);
  }
  const after = await terminal.as('avery', 'policy', 'show');
  expect(after.out).toMatch(/NUMBER +ACTIVATED +POLICY +REVISION +REQUEST/);
  expect(after.out).toMatch(new RegExp(`^2 +.+ UTC +${proposed.json.object.id} .*${id}$`, 'm'));
  expect(after.out).toMatch(/^1 +.*an operator$/m);
  expect((await terminal.as('avery', 'policy', 'bundles', '--json')).json.items).toHaveLength(2);

  const saved = join(t.folder, 'saved.tar.gz');
  expect((await terminal.as('avery', 'policy', 'download', '--output', saved)).code).toBe(0);
  expect((await readFile(saved)).equals(await readFile(file))).toBe(true);
  expect((await terminal.as('avery', 'policy', 'download', '--output', saved, '--json')).json.code).toBe(
    'not_saved',
  );
});

it('uploads without activating, says how to go on, and refuses what is no bundle', async () => {
  const uploaded = await terminal.as('morgan', 'policy', 'upload', file);
  expect(uploaded.code).toBe(0);
  expect(uploaded.out).toContain('countersign policy activate sha256:');
  const none = join(t.folder, 'none.tar.gz');
  await writeFile(none, 'x');
  expect((await terminal.as('morgan', 'policy', 'upload', none, '--json')).json.code).toBe('bundle_unusable');
  expect((await terminal.as('dana', 'policy', 'upload', file)).code).toBe(4);
  expect((await terminal.as('morgan', 'policy', 'activate', 'sha256:0', '--reason', 'x')).code).not.toBe(0);
});

const reasoned = ['--reason', 'a test', '--json'];
const binding = [
  '--group',
  'auditors',
  '--role',
  'flag-deployer',
  '--namespace',
  'payments',
  '--environment',
  '*',
];

it('proposes one row of the data: bindings, windows, trust rules, any value', async () => {
  const added = await terminal.as('morgan', 'policy', 'add-binding', ...binding, ...reasoned);
  expect([added.code, added.json.state]).toEqual([3, 'pending']);
  expect(added.json.object.patch).toMatchObject([{ op: 'add', path: expect.stringMatching(/auditors\/-$/) }]);
  for (const who of ['jordan', 'sam'])
    await terminal.as(who, 'approve', added.json.id, '--digest', added.json.digest);
  const removed = await terminal.as('morgan', 'policy', 'remove-binding', ...binding, ...reasoned);
  expect(removed.json.object.patch).toMatchObject([
    { op: 'remove', path: expect.stringMatching(/auditors\/1$/) },
  ]);

  const window = ['--zone', 'Asia/Tokyo', '--days', '1-5', '--start', '09:00', '--end', '17:30'];
  const tokyo = await terminal.as('morgan', 'policy', 'add-window', 'tokyo', ...window, ...reasoned);
  expect(tokyo.json.object.patch).toEqual([
    { op: 'add', path: '/config/zones/-', value: 'Asia/Tokyo' },
    {
      op: 'add',
      path: '/config/windows/tokyo',
      value: {
        zone: 'Asia/Tokyo',
        days: [1, 2, 3, 4, 5],
        start: { hour: 9, minute: 0 },
        end: { hour: 17, minute: 30 },
      },
    },
  ]);

  const set = await terminal.as(
    'morgan',
    'policy',
    'set',
    '/config/limits/request_ttl_s',
    '5000',
    ...reasoned,
  );
  expect(set.json.summary).toMatch(/^change the policy: replace \/config\/limits\/request_ttl_s/);
  const file = join(t.folder, 'rule.yaml');
  const rules = (await t.call('morgan', 'GET', '/v1/policy/data')).body.data.config.trust_rules;
  await writeFile(file, JSON.stringify(rules['payments-deploy']));
  const rule = await terminal.as('morgan', 'policy', 'add-trust-rule', 'next', '--file', file, ...reasoned);
  expect(rule.json.object.patch).toMatchObject([{ op: 'add', path: '/config/trust_rules/next' }]);
});

it('says what is wrong with a row before anything is sent', async () => {
  const window = ['--zone', 'UTC', '--days', 'Mon', '--start', '9', '--end', '10:00', ...reasoned];
  expect((await terminal.as('morgan', 'policy', 'add-window', 'w', ...window)).code).toBe(2);
  expect((await terminal.as('morgan', 'policy', 'set', '/limits', '1', ...reasoned)).code).toBe(2);
  expect((await terminal.as('morgan', 'policy', 'set', '/config/nothing/x', '1', ...reasoned)).code).toBe(2);
  const other = binding.with(1, 'nobody');
  expect((await terminal.as('morgan', 'policy', 'remove-binding', ...other, ...reasoned)).code).toBe(2);
});
