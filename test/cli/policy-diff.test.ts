import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { signIn, withConfig } from '../support/activation.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { createFlag, propose } from '../support/flags.ts';
import { createTerminal, type Terminal } from './support.ts';

/*
 * `policy diff`: what another policy would change, in words.
 */

let t: TestBroker;
let terminal: Terminal;
let other: string;

beforeAll(async () => {
  t = await startTestBroker();
  terminal = createTerminal(t);
  await signIn(t, ['morgan', 'jordan', 'sam', 'dana', 'casey']);
  const flag = await createFlag(t, 'checkout', { tier: 'operational' });
  await propose(t, [{ action: 'enable', flag }]);
  const shipped = await readFile(join(t.folder, 'bundle.tar.gz'));
  other = join(t.folder, 'other.tar.gz');
  await writeFile(
    other,
    await withConfig(shipped, (config) => {
      const tiers = config.tiers as Record<string, Record<string, Record<string, { approvals: object }>>>;
      const raise = tiers.operational?.production?.raise;
      if (raise !== undefined) raise.approvals = {};
      const { groups } = config.role_bindings as { groups: Record<string, Record<string, unknown>> };
      const of = groups[t.people.issuer] ?? {};
      of.ghosts = [{ roles: ['policy-maintainer'], namespaces: ['*'], environments: ['*'] }];
      delete of['customer-success'];
    }),
  );
});
afterAll(() => t.close());

describe('policy diff', () => {
  it('compares two files without a broker, by data and rules', async () => {
    const offline = createTerminal(t, { env: { COUNTERSIGN_URL: 'http://127.0.0.1:1' } });
    const { code, out } = await offline.run('policy', 'diff', join(t.folder, 'bundle.tar.gz'), other);
    expect(code).toBe(0);
    expect(out).toContain('rules: the same module');
    expect(out).toMatch(/\/config\/tiers\/operational\/production\/raise\/approvals\/flag-approver\n +- 1\n/);
    expect(out).toMatch(/groups\/\S+\/ghosts\n +\+ \[\{"environments|groups\/\S+\/ghosts\n +\+ \[\{"roles/);
    const json = await offline.run('policy', 'diff', other, other, '--json');
    expect(json.json).toMatchObject({ same_module: true, data: [] });
  });

  it('names who gains and loses, what becomes of requests and flags, and the next activation', async () => {
    const { code, out } = await terminal.as('morgan', 'policy', 'diff', other);
    expect(code).toBe(0);
    expect(out).toMatch(
      /access gained\n +group ghosts, which nobody known has: may\n(.*\n)* +.*policy\.activate/,
    );
    expect(out).toMatch(/access lost\n +emp-1004 may no longer \(by group customer-success\)/);
    expect(out).toMatch(
      /1 flag\.change in production would be allowed: 1 approval by flag-approver -> nothing missing/,
    );
    expect(out).toMatch(/switching on 1 operational in production, payments \(checkout\) would be allowed/);
    expect(out).toMatch(/next activation: 2 approvals\n +proposed by emp-100[78], emp-100[78]/);
  });

  it('shows a patch, and the report of a request as people approve it', async () => {
    const patched = await terminal.as(
      'morgan',
      ...['policy', 'diff', '--set', '/config/limits/request_ttl_s=1000', '--json'],
    );
    expect(patched.json).toMatchObject({
      data: [{ path: '/config/limits/request_ttl_s', after: 1000 }],
      report: { changes_nothing: true },
    });
    const content = {
      kind: 'policy.activate',
      patch: [{ op: 'replace', path: '/config/limits/request_ttl_s', value: 2000 }],
      reason: 'a test',
    };
    const { body } = await t.call('morgan', 'POST', '/v1/requests', content);
    const { code, out } = await terminal.as('sam', 'policy', 'diff', body.id);
    expect(code).toBe(0);
    // A second approver may be told what changes, without reading the policy itself.
    expect(out).toContain('open requests: no difference');
    const read = await terminal.as('morgan', 'policy', 'diff', body.id);
    expect(read.out).toContain('+ 2000');
    const digest = body.bases.find(({ of }: { of: string }) => of.startsWith('report:')).of.slice(7);
    expect((await terminal.as('sam', 'policy', 'report', digest)).out).toMatch(
      /next activation: 2 approvals/,
    );
  });

  it('refuses what it cannot compare, and tells nothing to those who may not know', async () => {
    expect((await terminal.as('morgan', 'policy', 'diff')).code).toBe(2);
    expect((await terminal.as('morgan', 'policy', 'diff', other, '--unset', '/config/x/y')).code).toBe(2);
    expect((await terminal.as('morgan', 'policy', 'diff', '--set', 'x')).code).toBe(2);
    expect((await terminal.as('dana', 'policy', 'diff', other)).code).toBe(4);
  });
});
