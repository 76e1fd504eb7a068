import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createTerminal } from '../cli/support.ts';
import { activateElsewhere, withConfig } from '../support/activation.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';

let t: TestBroker;
let shipped: Buffer;

beforeEach(async () => {
  t = await startTestBroker();
  shipped = await readFile(join(t.folder, 'bundle.tar.gz'));
});
afterEach(() => t.close());

const maintainers = () =>
  t.call('morgan', 'POST', '/v1/requests', {
    kind: 'policy.activate',
    patch: [{ op: 'replace', path: '/config/limits/request_ttl_s', value: 1000 }],
    reason: 'a test',
  });

async function recover(archive: Buffer, reason = 'the group was renamed') {
  const file = join(t.folder, 'recover.tar.gz');
  await writeFile(file, archive);
  const config = join(t.folder, 'countersign.yaml');
  const words = ['policy', 'recover', file, '--config', config, '--reason', reason, '--json', '--yes'];
  await t.broker.close();
  const run = await createTerminal(t).run(...words);
  await t.restart();
  return run;
}

describe('a policy that lets nobody activate another one', () => {
  it('is replaced at the stopped machine, recorded as what it is, and every list shows it', async () => {
    const locked = await withConfig(shipped, (config) => {
      const groups = Object.values((config.role_bindings as { groups: object }).groups)[0];
      Reflect.deleteProperty(groups, 'platform');
    });
    const lost = await activateElsewhere(t.broker.store, locked, t.clock());
    await t.broker.scheduler.tick();
    expect((await maintainers()).status).toBe(403);

    const run = await recover(shipped);
    expect([run.code, run.json.replaced]).toEqual([0, lost]);
    const { items } = (await t.call('morgan', 'GET', '/v1/policy/activations')).body;
    expect(items).toHaveLength(3);
    expect(items[0]).toMatchObject({ number: 3, request_id: null, decision_id: run.json.decision_id });
    const record = (await t.call('avery', 'GET', `/v1/decisions/${run.json.decision_id}`)).body;
    expect(record).toMatchObject({
      operation: 'policy.activate',
      principal: { id: 'workload:countersign:operator' },
      request: null,
      outcome: { reasons: [{ code: 'policy_recovered' }], note: { detail: 'the group was renamed' } },
      record: { activates: { hash: run.json.policy_hash } },
    });
    // Everybody sees that it happened, and who may read access sees what.
    const ready = (await t.call(null, 'GET', '/readyz')).body;
    expect(ready.bootstraps.map(({ number, kind }: Record<string, unknown>) => `${number} ${kind}`)).toEqual([
      '3 recovery',
      '2 recovery',
      '1 first_start',
    ]);
    expect(JSON.stringify(ready)).not.toMatch(/sha256|morgan|renamed/);
    const { bootstraps } = (await t.call('avery', 'GET', '/v1/access')).body;
    expect(bootstraps[0]).toEqual({
      ...{ number: 3, kind: 'recovery', activated_ms: t.clock() },
      ...{ policy_hash: run.json.policy_hash, decision_id: run.json.decision_id },
    });
    const { out } = await createTerminal(t).as('avery', 'access', 'list');
    expect(out).toMatch(/3 +an operator, to recover .*sha256:/);
  });

  it('is not recovered with a bundle that could not be uploaded, nor with the active one', async () => {
    const open = await withConfig(shipped, (config) => {
      const [rule] = Object.values(config.trust_rules ?? {}) as { claims?: object }[];
      if (rule !== undefined) rule.claims = {};
    });
    for (const [archive, code] of [
      [open, 'bundle_unusable'],
      [Buffer.from('no bundle'), 'bundle_unusable'],
      [shipped, 'nothing_to_accept'],
    ] as const) {
      const run = await recover(archive);
      expect([run.code === 0, run.json.code]).toEqual([false, code]);
    }
    expect((await t.call('morgan', 'GET', '/v1/policy/activations')).body.items).toHaveLength(1);
  });
});
