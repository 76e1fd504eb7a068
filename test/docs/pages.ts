import { readdirSync, readFileSync } from 'node:fs';

const ROOT = new URL('../../', import.meta.url);

/** The text of a file of this repository. */
export function readPage(path: string): string {
  return readFileSync(new URL(path, ROOT), 'utf8');
}

/** The pages in docs, with those in its folders. */
export function docPages(): string[] {
  return readdirSync(new URL('docs', ROOT), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name.replaceAll('\\', '/')}`)
    .toSorted();
}

/** The tables of a page: the cells of each row below the heading row, by the first cell of the heading. */
export function tablesOf(page: string): { head: string; rows: string[][] }[] {
  const tables = page.matchAll(/^\| (.+?) \|.*\n\|[-| :]+\|\n((?:\|.*\n)+)/gm);
  return [...tables].map(([, head = '', body = '']) => ({
    head,
    rows: body
      .trim()
      .split('\n')
      .map((line) => line.slice(2, -2).split(' | ')),
  }));
}

/** The first cell of each row of the tables with this heading, without its backticks. */
export function listedIn(page: string, head: string): string[] {
  return tablesOf(page)
    .filter((table) => table.head === head)
    .flatMap(({ rows }) => rows.map(([first = '']) => first.replaceAll('`', '')));
}
