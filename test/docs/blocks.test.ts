import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { INSTALL_MS } from '../support/tools.ts';
import { readBlocks } from './blocks/read-blocks.ts';
import { runPage } from './blocks/run-page.ts';
import { type Demo, startDemo } from './blocks/stage.ts';
import { treatmentOf } from './blocks/treat-block.ts';

/*
 * Every block of README and docs, word for word: commands in a terminal against a running broker, everything else by the
 * schemas. CONTRIBUTING.md has the conventions.
 */

const pages = [
  'README.md',
  ...readdirSync(new URL('../../docs', import.meta.url), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
].filter((page) => readBlocks(page).length > 0);
let demo: Demo;

beforeAll(async () => {
  demo = await startDemo();
}, INSTALL_MS);
afterAll(() => demo?.close());

describe('each block works as it is written', () => {
  it.concurrent.each(pages)('%s', { timeout: 600_000 }, (page) => runPage(demo, readBlocks(page), 'demo'));
});

it('docs/first-flag.md works with make dev, too', { timeout: 600_000 }, () =>
  runPage(demo, readBlocks('docs/first-flag.md'), 'dev'),
);

it('most blocks of commands run', () => {
  const counted: Record<string, Record<string, number>> = {};
  for (const page of pages) {
    const count: Record<string, number> = {};
    for (const block of readBlocks(page)) {
      const treatment = treatmentOf(block);
      count[treatment] = (count[treatment] ?? 0) + 1;
    }
    counted[page] = count;
  }
  process.stdout.write(`${pages.map((page) => `${page}: ${JSON.stringify(counted[page])}`).join('\n')}\n`);
  const total = (treatment: string) =>
    Object.values(counted).reduce((sum, count) => sum + (count[treatment] ?? 0), 0);
  expect(total('commands')).toBeGreaterThan(3 * total('parsed'));
});
