import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createTerminal } from '../cli/support.ts';
import { signIn, withConfig } from '../support/activation.ts';
import type { TestBroker } from '../support/broker.ts';
import {
  activated,
  activations,
  data,
  firstBundle,
  startStaged,
  upload,
  withWords,
} from '../support/stages.ts';

/*
 * The way out at the machine, where there are stages.
 */

let t: TestBroker;

beforeEach(async () => {
  t = await startStaged();
  await signIn(t);
  const policy_hash = await upload(t, await withWords(await firstBundle(t), 'Staging tries this.'));
  await activated(t, { policy_hash, stage: 'staging' });
});
afterEach(() => t.close());

async function recover(archive: Buffer, ...options: string[]) {
  const file = join(t.folder, 'recover.tar.gz');
  await writeFile(file, archive);
  const config = ['--config', join(t.folder, 'countersign.yaml')];
  await t.broker.close();
  const run = await createTerminal(t).run(
    ...['policy', 'recover', file, ...config, '--reason', 'locked out', '--json', '--yes', ...options],
  );
  await t.restart();
  return run;
}

const hashes = async () =>
  Object.fromEntries(
    await Promise.all(
      ['staging', 'production'].map(async (stage) => [
        stage,
        (await activations(t, `?stage=${stage}`))[0].policy_hash,
      ]),
    ),
  );

it('one stage is recovered alone, with what belongs to the last one', async () => {
  const before = await hashes();
  const other = await withConfig(await firstBundle(t), (config) => {
    Reflect.deleteProperty(config, 'stages');
    Object.assign(config.persons ?? {}, { 'github:66': 'emp-1001' });
    Object.assign(config.limits ?? {}, { request_ttl_s: 1234 });
  });
  const run = await recover(other, '--stage', 'staging');
  expect([run.code, run.json.replaced]).toEqual([0, before.staging]);
  expect(await hashes()).toEqual({ ...before, staging: run.json.policy_hash });
  const config = await data(t, 'staging');
  expect([config.limits.request_ttl_s, config.stages.length]).toEqual([1234, 2]);
  expect(config.persons).not.toHaveProperty('github:66');
  expect((await recover(other, '--stage', 'nowhere')).json.detail).toContain(
    'The stages are staging, production',
  );
});

it('the others follow the last one in what belongs to it', async () => {
  const next = await withConfig(await firstBundle(t), ({ persons }) => {
    Object.assign(persons ?? {}, { 'github:77': 'emp-1001' });
  });
  await recover(next);
  expect((await data(t, 'staging')).persons).toHaveProperty('github:77');
  const [staging, production] = await activations(t);
  expect([staging.stage, production.stage]).toEqual(['staging', 'production']);
  expect(staging.module).not.toBe(production.module);
});

it('a stage whose own policy no longer fits gets the recovered one', async () => {
  const next = await withConfig(await firstBundle(t), ({ trust_rules, role_bindings }) => {
    Reflect.deleteProperty(trust_rules ?? {}, 'payments-deploy');
    Reflect.deleteProperty((role_bindings as { trust_rules: object }).trust_rules, 'payments-deploy');
  });
  const run = await recover(next);
  expect(await hashes()).toEqual({ staging: run.json.policy_hash, production: run.json.policy_hash });
});
