import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { withConfig } from '../support/activation.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { createTerminal, type Terminal } from './support.ts';

let t: TestBroker;
let terminal: Terminal;
let file: string;

beforeAll(async () => {
  t = await startTestBroker();
  terminal = createTerminal(t);
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
  expect(after.out).toMatch(new RegExp(`^2 +\\S+ +${proposed.json.object.id} .*${id}$`, 'm'));
  expect(after.out).toMatch(/^1 +.*first start$/m);
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
