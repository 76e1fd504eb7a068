import { existsSync } from 'node:fs';
import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import { docPages, readPage } from './pages.ts';

const ROOT = new URL('../../', import.meta.url);
const pages = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md', ...docPages()];

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

  it('can all be reached from the README, or from the page of pages that lead step by step', () => {
    const index = 'docs/how-to/README.md';
    const linked = ['README.md', index].flatMap((path) => linksOf(path).map(({ file }) => file));
    expect(linksOf('README.md').map(({ file }) => file)).toContain(index);
    expect(docPages().filter((path) => !linked.includes(path))).toEqual([]);
  });

  it.each(docPages().filter((path) => path.startsWith('docs/how-to/')))('%s is read in one go', (path) => {
    expect(readPage(path).split('\n').length).toBeLessThan(150);
  });
});

describe('the README', () => {
  const page = readPage('README.md');
  it('stays a page that is read in one go', () => {
    expect(page.split('\n').length).toBeLessThan(170);
  });
});
