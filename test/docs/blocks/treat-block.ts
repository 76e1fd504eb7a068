import { existsSync } from 'node:fs';
import { readRecipes } from '../../support/cookbook.ts';
import { readPage } from '../pages.ts';
import type { Block } from './read-blocks.ts';

/** What becomes of a block: how it is tried, or that another test does. */
export type Treatment =
  | 'commands'
  /** A file that the commands of the page use. */
  | 'file'
  | 'document'
  /** Files of this repository, each with what it is for. */
  | 'tree'
  | 'answer'
  /** A part of a file of this repository. */
  | 'quote'
  /** Not run, for a reason that the page has in a note; its commands are parsed. */
  | 'parsed'
  | 'elsewhere';

const LANGUAGES_OF_COMMANDS = ['', 'indented', 'console', 'sh'];
const ROOT = new URL('../../../', import.meta.url);

/** The treatment of a block. @throws Error if it is of no known kind */
export function treatmentOf(block: Block): Treatment {
  const { notes, language } = block;
  if (runsElsewhere(block)) return 'elsewhere';
  if (notes.has('not run')) return 'parsed';
  if (notes.has('answer')) return 'answer';
  if (quotedFile(block) !== null) return 'quote';
  if (fileNameOf(block) !== null) return 'file';
  if (['yaml', 'json'].includes(language)) return 'document';
  if (language === 'text') return 'tree';
  if (LANGUAGES_OF_COMMANDS.includes(language)) return 'commands';
  throw new Error(
    `${block.page}:${block.line}: a block of an unknown kind (${language}); CONTRIBUTING.md says what there is`,
  );
}

/** Whether another test reads the block from this page and runs it. */
function runsElsewhere({ notes, page, line, text }: Block): boolean {
  const test = notes.get('run by');
  if (test === undefined) return recipeTexts().has(text);
  if (!existsSync(new URL(test, ROOT)) || !readPage(test).includes(page))
    throw new Error(`${page}:${line}: there is no ${test} that reads this page`);
  return true;
}

let recipes: Set<string> | null = null;
/** The files of the cookbook, which test/policy/cookbook.test.ts applies, builds and asks. */
function recipeTexts(): Set<string> {
  recipes ??= new Set(readRecipes().flatMap(({ parts }) => parts.map(({ text }) => text.trimEnd())));
  return recipes;
}

/** The name of the file that a block is, which a reader makes in the clone: in its first line, or in a note. */
export function fileNameOf({ text, notes, language }: Block): string | null {
  const named = ['yaml', 'json'].includes(language)
    ? /^# ([\w.-]+\.(?:yaml|yml|json))\n/.exec(text)?.[1]
    : undefined;
  return notes.get('file') ?? named ?? null;
}

/** The file of this repository that the first line names, if the rest is a part of it. */
function quotedFile({ text }: Block): string | null {
  const [, path = null] = /^# ([\w./-]+\/[\w.-]+): .*\n/.exec(text) ?? [];
  return path !== null && existsSync(new URL(path, ROOT)) ? path : null;
}

/** What is wrong with a quotation. */
export function quoteFaults(block: Block): string[] {
  const path = quotedFile(block) ?? '';
  const [, ...lines] = block.text.split('\n');
  return readPage(path).includes(lines.join('\n')) ? [] : [`${path} has other text by now`];
}

/** What a tree names that is not there. */
export function treeFaults({ text }: Block): string[] {
  const paths = [...text.matchAll(/^(\S+)/gm)].map(([, path = '']) => path);
  return paths.filter((path) => !existsSync(new URL(path, ROOT))).map((path) => `there is no ${path}`);
}
