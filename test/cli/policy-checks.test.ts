import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { signIn, withConfig } from '../support/activation.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { withCases } from '../support/checks.ts';
import { createFlag, propose } from '../support/flags.ts';
import { createTerminal, type Terminal } from './support.ts';

let t: TestBroker;
let terminal: Terminal;
let shipped: Buffer;
let file: string;

beforeAll(async () => {
  t = await startTestBroker();
  terminal = createTerminal(t);
  await signIn(t);
  shipped = await readFile(join(t.folder, 'bundle.tar.gz'));
  file = join(t.folder, 'next.tar.gz');
});
afterAll(() => t.close());

/** The shipped policy, under which developers may do nothing in production any more. */
const stricter = () =>
  withConfig(shipped, ({ role_bindings }) => {
    const groups = role_bindings?.groups as Record<string, Record<string, { environments: string[] }[]>>;
    for (const rows of Object.values(groups)) {
      for (const row of rows['payments-developers'] ?? []) row.environments = ['development', 'staging'];
    }
  });

it('makes a case of a decision in one command, which the policy then has to pass', async () => {
  const flag = await createFlag(t, 'checkout', { tier: 'informational' });
  const { decision_id } = (await propose(t, [{ action: 'enable', flag }])).body;
  const out = join(t.folder, 'case.json');
  const made = await terminal.as('avery', 'policy', 'case', decision_id, '--out', out);
  expect([made.code, made.out]).toEqual([0, `wrote ${out}\n`]);
  const cases = JSON.parse(await readFile(out, 'utf8'));
  expect(cases).toMatchObject([
    { decision: decision_id, whole_input: { operation: 'request.propose' }, expected: { effect: 'allow' } },
  ]);
  expect((await terminal.as('avery', 'policy', 'case', decision_id, '--out', out)).code).toBe(1);
  expect((await terminal.as('dana', 'policy', 'case', decision_id)).code).toBe(4);

  await writeFile(file, await withCases(shipped, { 'own.json': cases }));
  const same = await terminal.as('morgan', 'policy', 'backtest', file);
  expect([same.code, same.out]).toEqual([0, expect.stringContaining('cases          1 passed')]);
  await writeFile(file, await withCases(await stricter(), { 'own.json': cases }));
  const other = await terminal.as('morgan', 'policy', 'backtest', file);
  expect([other.code, other.out]).toEqual([
    1,
    expect.stringMatching(/0 passed, 1 failed\n.*expected allow, got deny/),
  ]);
  const refused = await terminal.as('morgan', 'policy', 'propose', file, '--reason', 'x', '--json');
  expect([refused.code, refused.json.code]).toEqual([1, 'invalid_change']);
});

it('shows what would change, before and after a proposal', async () => {
  await writeFile(file, await stricter());
  const run = await terminal.as('morgan', 'policy', 'backtest', file, '--all');
  expect(run.code, run.err).toBe(0);
  expect(run.out).toMatch(/decisions +\d+ of \d+ would change, in records 1 to \d+/);
  expect(run.out).toMatch(
    /× request\.propose in production, informational: allow \(self_service\) becomes deny/,
  );
  expect(run.out).toMatch(/lost\n.*group payments-developers/s);
  const json = (await terminal.as('morgan', 'policy', 'backtest', file, '--json')).json;
  expect(json.report.backtest.changed).toBeGreaterThan(0);
  const proposed = await terminal.as('morgan', 'policy', 'propose', file, '--reason', 'stricter', '--json');
  expect(proposed.code).toBe(3);
  const base = (proposed.json.bases as { of: string }[]).find(({ of }) => of.startsWith('report:'));
  const digest = base?.of.slice('report:'.length) ?? '';
  const shown = await terminal.as('sam', 'show', proposed.json.id);
  expect(shown.out).toContain(`report   ${digest}`);
  expect(shown.out).toMatch(/would change, in records.*lost\n.*group payments-developers/s);
  const report = await terminal.as('sam', 'policy', 'report', digest, '--json');
  expect(report.json.digest).toBe(digest);
  expect((await terminal.as('morgan', 'policy', 'backtest', file, '--until', '3')).code).toBe(2);
  expect((await terminal.as('dana', 'policy', 'backtest', `sha256:${'0'.repeat(64)}`)).code).toBe(4);
});
