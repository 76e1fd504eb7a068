import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { runAlone } from '../cli/alone.ts';
import { readPage } from '../docs/pages.ts';
import { type Recipe, type RecipePart, readRecipes } from '../support/cookbook.ts';

/* Each recipe of docs/policy-cookbook.md is applied to a new project as it is on the page, built, and asked its cases. */

const OPA = fileURLToPath(new URL('../../.cache/bin/opa', import.meta.url));
const hasOpa = existsSync(OPA);
if (!hasOpa)
  process.emitWarning('SKIPPED: recipes with Rego, because .cache/bin/opa is not built (make policies)');

const recipes = readRecipes();

const hasRego = ({ parts }: Recipe) => parts.some(({ path }) => path.endsWith('.rego'));
const isCases = (path: string) => path.startsWith('cases/') && path !== 'cases/base.json';

let root: string;
let fresh: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'countersign-cookbook-'));
  fresh = join(root, 'fresh');
  // As the page says.
  const words = ['policy', 'init', fresh, '--issuer', 'https://login.example.com', '--zone', 'Europe/Berlin'];
  expect(readPage('docs/policy-cookbook.md')).toContain(
    `countersign ${words.join(' ').replace(fresh, 'policy/')}`,
  );
  expect((await runAlone(words)).code).toBe(0);
  // The page says that some of these are no longer true.
  await rm(join(fresh, 'cases/decisions.json'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

function merged(left: unknown, right: unknown): unknown {
  const isTree = (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!isTree(left) || !isTree(right)) return right;
  const names = new Set([...Object.keys(left), ...Object.keys(right)]);
  return Object.fromEntries(
    [...names].map((name) => [
      name,
      Object.hasOwn(right, name) ? merged(left[name], right[name]) : left[name],
    ]),
  );
}

async function apply(folder: string, parts: readonly RecipePart[]): Promise<void> {
  for (const { path, text, isAddition } of parts) {
    const file = join(folder, path);
    await mkdir(dirname(file), { recursive: true });
    if (!isAddition) {
      expect(existsSync(file), path).toBe(false);
      await writeFile(file, text);
      continue;
    }
    const both = merged(parse(await readFile(file, 'utf8')), parse(text));
    await writeFile(file, JSON.stringify(both));
  }
}

async function projectWith(name: string, parts: readonly RecipePart[]): Promise<string> {
  const folder = join(root, name);
  await cp(fresh, folder, { recursive: true });
  await apply(folder, parts);
  return folder;
}

const check = (folder: string) =>
  runAlone(['policy', 'check', folder, '--json', ...(hasOpa ? ['--opa', OPA] : [])], {
    env: { PATH: '/nowhere' },
  });

it('has the eight rules that people ask for', () => {
  expect(recipes.map(({ name }) => name)).toEqual([
    'Blackout dates',
    'Holidays',
    'Approval by the owning team',
    'More approvals for wide audiences',
    'Night work only with an incident',
    'Agents in staging only',
    'Cooling-off between proposal and apply',
    'Limit of changes an hour',
  ]);
});

describe.each(
  recipes.filter((recipe) => hasOpa || !hasRego(recipe)).map((recipe) => [recipe.name, recipe] as const),
)('%s', (name, recipe) => {
  it('passes its cases when it is applied', { timeout: 60_000 }, async () => {
    const { code, json, out } = await check(await projectWith(`${name} applied`, recipe.parts));
    expect([code, json.faults, json.cases?.failed], out).toEqual([0, [], []]);
    expect(json.cases.passed).toBeGreaterThan(1);
  });

  it('fails one of its cases without the rule, so that they show something', {
    timeout: 60_000,
  }, async () => {
    // What the cases themselves are about stays: who may do something, and what the base has.
    const isRule = ({ path }: RecipePart) =>
      hasRego(recipe) ? path.endsWith('.rego') : path.startsWith('data/');
    const { json } = await check(
      await projectWith(
        `${name} without`,
        recipe.parts.filter((part) => !isRule(part)),
      ),
    );
    expect([json.faults, json.cases.failed.length > 0], JSON.stringify(json)).toEqual([[], true]);
  });
});

it.skipIf(!hasOpa)('can be combined', { timeout: 60_000 }, async () => {
  const parts = recipes.flatMap((recipe) => recipe.parts.filter(({ path }) => !isCases(path)));
  const { json } = await check(await projectWith('combined', parts));
  expect(json.faults).toEqual([]);
});
