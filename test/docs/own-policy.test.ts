import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parse } from 'yaml';
import { lintTrustRules } from '../../src/trust/lint.ts';
import { trustRulesSchema } from '../../src/trust/rules.ts';
import { CHILD_ENV } from '../support/child-env.ts';
import { readPage } from './pages.ts';

/* The commands of docs/how-to/own-policy.md that need no broker, word for word, in an empty folder. */

const run = promisify(execFile);
const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-own-policy-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it('leads from an empty folder to a bundle', { timeout: 60_000 }, async () => {
  const blocks = readPage('docs/how-to/own-policy.md').matchAll(/```\n(.*?)```/gs);
  const commands = [...blocks]
    .flatMap(([, block = '']) => block.trim().replaceAll('\\\n', ' ').split('\n'))
    .filter((command) => /^countersign policy (?:init|check|test|build) /.test(command));
  expect(commands.map((command) => command.split(' ').slice(0, 3).join(' '))).toEqual([
    'countersign policy init',
    'countersign policy check',
    'countersign policy test',
    'countersign policy build',
  ]);
  for (const command of commands) {
    const [, ...words] = command.split(/\s+/);
    // No opa on the path: it takes none.
    await run(process.execPath, [MAIN, ...words], { cwd: folder, env: { ...CHILD_ENV, PATH: '/nowhere' } });
  }
  expect((await readFile(join(folder, 'bundle.tar.gz'))).length).toBeGreaterThan(1000);
  const bindings = await readFile(join(folder, 'policy/data/config/role_bindings/data.yaml'), 'utf8');
  expect(bindings).toContain('payments-developers');
});

it('a pipeline of a project has steps that this version knows, and the rule of docs/pipelines.md is sound', async () => {
  const workflow = parse(await readFile(join(folder, 'policy/.github/workflows/policy.yml'), 'utf8'));
  const { check, propose } = workflow.jobs;
  expect(propose.permissions).toEqual({ 'id-token': 'write' });
  const commands = [...check.steps, ...propose.steps].flatMap(({ run: line = '' }: { run?: string }) =>
    [...line.matchAll(/countersign (policy \w+)/g)].map(([, words]) => words),
  );
  expect(commands).toEqual(['policy check', 'policy test', 'policy build', 'policy propose']);
  const [, rule = ''] =
    /```yaml\n# data\/config\/trust_rules[^\n]*\n(.*?)```/s.exec(readPage('docs/pipelines.md')) ?? [];
  expect(lintTrustRules(trustRulesSchema.parse(parse(rule)))).toEqual([]);
});
