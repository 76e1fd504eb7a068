import { describe, expect, it } from 'vitest';
import { readPage } from './docs/pages.ts';
import { IDIOMS } from './support/idioms.ts';
import { proseOf } from './support/prose.ts';
import { readSources, type Source } from './support/sources.ts';

/* Text that people read is plain English: `make lint` finds the commonest phrases that are not. */

/** Folders whose files are read by people, by the endings of their names. */
const FOLDERS: readonly [folder: string, ...endings: string[]][] = [
  ['src', '.ts'],
  ['policies', '.rego', '.yaml'],
  ['docs', '.md'],
  ['test', '.ts'],
  ['fixtures', '.ts', '.json'],
  ['bench', '.ts', '.md'],
];
const FILES = [
  'README.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  'Makefile',
  '.ci/run',
  '.ci/verify',
];

/** The list of phrases, and this test of it. */
const ABOUT_IDIOMS = ['test/support/idioms.ts', 'test/text.test.ts'];

const sources = [
  ...FOLDERS.flatMap(([folder, ...endings]) => endings.flatMap((ending) => readSources(folder, ending))),
  ...FILES.map((path) => ({ path, text: readPage(path) })),
].filter(({ path }) => !ABOUT_IDIOMS.includes(path));

/** Where a file has one of the phrases, and what to write instead. */
function idiomsIn(source: Source): string[] {
  return proseOf(source).flatMap(({ path, line, text }) =>
    IDIOMS.flatMap(({ idiom, better }) => {
      const found = new RegExp(idiom, 'i').exec(text)?.[0];
      return found === undefined ? [] : [`${path}:${line} "${found}" -> ${better}`];
    }),
  );
}

describe('text that people read', () => {
  it('has none of the phrases that read as translated', () => {
    expect(sources.length).toBeGreaterThan(200);
    expect(sources.flatMap(idiomsIn)).toEqual([]);
  });
});

describe('the check', () => {
  it.each(IDIOMS)('finds "$example", and accepts "$better"', ({ idiom, example, better }) => {
    expect(new RegExp(idiom, 'i').test(example)).toBe(true);
    expect(idiomsIn({ path: 'a.md', text: better })).toEqual([]);
  });

  it.each([
    ['a.ts', '/** A copy is worth\n * nothing. */'],
    ['a.ts', '// A copy is worth\n// nothing.\nconst a = 1;'],
    ['a.ts', `const a = \`a copy of $\{b} is worth nothing\`;`],
    ['a.ts', "const a = 'it\\'s worth nothing';"],
    ['a.rego', '# A copy is worth\n# nothing.'],
    ['a.yaml', 'title: "a copy is worth nothing"'],
    ['a.md', 'A copy is\nworth nothing.\n\nMore.'],
    ['a.md', '- A copy is worth\n  nothing.'],
  ])('reads the text of %s: %j', (path, text) => {
    expect(idiomsIn({ path, text })).toEqual([`${path}:1 "worth nothing" -> of no use, cannot be used`]);
  });

  it.each([
    ['a.ts', 'const approval = count(s);'],
    ['a.ts', `const text = \`$\{count(s)}\`;`],
    ['a.rego', 'approvals := count(s)'],
    ['a.md', 'A copy is worth\n\nnothing.'],
  ])('reads no code of %s, and no text across paragraphs: %j', (path, text) => {
    expect(idiomsIn({ path, text })).toEqual([]);
  });

  it('names the line', () => {
    expect(idiomsIn({ path: 'a.ts', text: "const a = 1;\n\nconst b = 'in vain';" })).toEqual([
      'a.ts:3 "in vain" -> without effect',
    ]);
  });
});
