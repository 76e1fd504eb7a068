import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createTerminal, type Terminal } from '../cli/support.ts';
import { signIn } from '../support/activation.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { change, firstBundle, freeFlag, STAGES, withWords } from '../support/stages.ts';

/*
 * A policy on its way from staging to production, on the command line.
 */

let t: TestBroker;
let terminal: Terminal;
let file: string;

beforeAll(async () => {
  t = await startTestBroker();
  terminal = createTerminal(t);
  await signIn(t);
  file = join(t.folder, 'next.tar.gz');
  await writeFile(file, await withWords(await firstBundle(t), 'Staging tries this.'));
});
afterAll(() => t.close());

/** Runs a command of morgan that proposes, and approves what it proposed. */
async function applied(...args: string[]) {
  const { code, json } = await terminal.as('morgan', 'policy', ...args, '--reason', 'a test', '--json');
  expect(code, JSON.stringify(json)).toBe(3);
  for (const who of ['jordan', 'sam']) {
    expect((await terminal.as(who, 'approve', json.id, '--digest', json.digest)).code).toBe(0);
  }
  return json;
}

it('goes from the map of stages through staging to production', async () => {
  const early = await terminal.as(
    'morgan',
    'policy',
    'promote',
    '--to',
    'production',
    '--reason',
    'x',
    '--json',
  );
  expect([early.code, early.json.detail]).toEqual([2, expect.stringContaining('no stages')]);
  await applied('set', '/config/stages', JSON.stringify(STAGES));
  const none = await terminal.as(
    'morgan',
    'policy',
    'promote',
    '--to',
    'production',
    '--reason',
    'x',
    '--json',
  );
  expect([none.code, none.json.detail]).toEqual([
    2,
    expect.stringContaining('Nothing was activated in staging'),
  ]);

  const tried = await applied('propose', file, '--stage', 'staging');
  await applied('set', '/config/limits/request_ttl_s', '1000', '--stage', 'staging');
  const flag = await freeFlag(t, 'checkout');
  await change(t, flag, 'staging');
  const wrong = await terminal.as(
    'morgan',
    'policy',
    'promote',
    '--to',
    'staging',
    '--reason',
    'x',
    '--json',
  );
  expect([wrong.code, wrong.json.detail]).toEqual([2, expect.stringContaining('first stage')]);
  const words = ['--to', 'prod', '--reason', 'x', '--json'];
  const unknown = await terminal.as('morgan', 'policy', 'promote', ...words);
  expect([unknown.code, unknown.json.detail]).toEqual([
    2,
    expect.stringMatching(
      /^There is no stage "prod" .*Did you mean production\? The stages are staging, production\.$/,
    ),
  ]);
  const promoted = await applied('promote', '--to', 'production', '--from', 'staging');
  // Not the row of data that came later: the module was tried from its first activation on.
  expect(promoted.object.promotes).toMatchObject({ activation: 3, decisions: 1 });

  const history = await terminal.as('avery', 'policy', 'history', '--stage', 'production');
  expect(history.out).toMatch(/NUMBER +STAGE +ACTIVATED +POLICY +BY +APPROVED BY +FROM +AFTER/);
  expect(history.out).toMatch(
    /^5 +production .*emp-\d+ +emp-\d+, emp-\d+ +3 in staging: 0 hours, 1 decisions$/m,
  );
  expect(history.out).not.toMatch(/^3 /m);
  const shown = await terminal.as('avery', 'policy', 'show', '--stage', 'staging', '--json');
  expect(shown.json.items.map(({ number }: { number: number }) => number)).toEqual([4, 3]);
  // With the map of stages, which belongs to the last stage, it is another bundle than the one that was proposed.
  expect(shown.json.items[1].policy_hash).not.toBe(tried.object.id);
  expect(shown.json.items[1].change).toMatchObject({
    proposed_by: 'emp-1007',
    report: expect.stringMatching(/^sha256:/),
  });

  const saved = join(t.folder, 'saved.tar.gz');
  const args = ['policy', 'download', '--output', saved];
  expect((await terminal.as('avery', ...args, '--stage', 'staging')).code).toBe(0);
  expect((await terminal.as('avery', ...args, '--stage', 'nowhere', '--json')).json.code).toBe('not_found');
});
