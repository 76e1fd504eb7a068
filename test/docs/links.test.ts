import { existsSync, readdirSync } from 'node:fs';
import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readPage } from './pages.ts';

const ROOT = new URL('../../', import.meta.url);
const docs = readdirSync(new URL('docs', ROOT)).filter((name) => name.endsWith('.md'));
const pages = [
  'README.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  ...docs.map((name) => `docs/${name}`),
];

/** The anchors that GitHub makes of a page's headings. */
function anchorsOf(page: string): string[] {
  return [...page.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

/** Where the links of a page lead within this repository: the file, and the anchor in it or undefined. */
function linksOf(path: string): { file: string; anchor: string | undefined }[] {
  return [...readPage(path).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => {
      const [file = '', anchor] = target.split('#');
      return { file: file === '' ? path : posix.join(posix.dirname(path), file), anchor };
    });
}

describe('the pages', () => {
  it.each(pages)('%s: each link leads to a file, and to a heading in it', (path) => {
    for (const { file, anchor } of linksOf(path)) {
      expect(existsSync(new URL(file, ROOT)), file).toBe(true);
      if (anchor !== undefined) expect(anchorsOf(readPage(file)), `${file}#${anchor}`).toContain(anchor);
    }
  });

  it('can all be reached from the README', () => {
    const linked = linksOf('README.md').map(({ file }) => file);
    expect(docs.map((name) => `docs/${name}`).filter((path) => !linked.includes(path))).toEqual([]);
  });
});

describe('the README', () => {
  const page = readPage('README.md');
  const quotes = [...page.matchAll(/```(?:yaml|rego)\n# (policies\/[^:]+): [^\n]*\n(.*?)```/gs)];

  it('stays a page that is read in one go', () => {
    expect(page.split('\n').length).toBeLessThan(170);
  });

  it('quotes the policy as it is', () => {
    expect(quotes.map(([, path]) => path)).toEqual([
      'policies/starter/config/tiers/data.yaml',
      'policies/countersign/decision.rego',
    ]);
    for (const [, path = '', quote = ''] of quotes) expect(readPage(path)).toContain(quote);
  });
});
