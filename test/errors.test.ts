import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { PROBLEMS } from '../src/problems.ts';
import { readSources } from './support/sources.ts';

const codes = Object.keys(PROBLEMS);
const page = readFileSync(new URL('../docs/problems.md', import.meta.url), 'utf8');
const sections = page.split(/^## /m).slice(1);

describe('the problem codes', () => {
  it('have one heading each on the page that their type URI leads to, in the order of the table', () => {
    expect(sections.map((section) => section.split('\n')[0])).toEqual(codes);
  });

  it.each(codes)('%s: the page names its status, what it means and how to clear it', (code) => {
    const section = sections.find((candidate) => candidate.startsWith(`${code}\n`)) ?? '';
    const { status } = PROBLEMS[code as keyof typeof PROBLEMS];
    expect(section).toContain(`HTTP ${status}.`);
    expect(section).toMatch(/\*\*To clear it:\*\* \S/);
  });

  it.each(codes)('%s is produced by the code and expected by a test', (code) => {
    const quoted = `'${code}'`;
    const sources = readSources('src', '.ts').filter(
      ({ path }) => path !== 'src/problems.ts' && !path.startsWith('src/cli/'),
    );
    const tests = readSources('test', '.ts').filter(({ path }) => path !== 'test/errors.test.ts');
    expect(sources.filter(({ text }) => text.includes(quoted)).length).toBeGreaterThan(0);
    expect(tests.filter(({ text }) => text.includes(quoted)).map(({ path }) => path)).not.toEqual([]);
  });
});
