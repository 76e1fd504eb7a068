import type { Source } from './sources.ts';

/** A piece of text that people read, on one line, and the line of its file that it begins on. */
export interface Prose {
  path: string;
  line: number;
  text: string;
}

/** String literals and comments of TypeScript; line comments that follow one another are one text. */
const TYPESCRIPT =
  /\/\*[\s\S]*?\*\/|(?:\/\/[^\n]*(?:\n[ \t]*(?=\/\/))?)+|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g;
/** The same of Rego, shell, make and YAML, where comments begin with a hash. */
const HASH = /(?:#[^\n]*(?:\n[ \t]*(?=#))?)+|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`[^`]*`/g;
/** Whole paragraphs, list items and rows of Markdown. */
const MARKDOWN = /[^\n]+(?:\n(?![\n|#\-*>]|\d+\. |```)[^\n]+)*/g;

/** What people read of a file, by the kind of file that its name tells. */
export function proseOf({ path, text }: Source): Prose[] {
  const kind = path.endsWith('.ts') ? TYPESCRIPT : path.endsWith('.md') ? MARKDOWN : HASH;
  return [...text.matchAll(kind)].map((match) => ({
    path,
    line: text.slice(0, match.index).split('\n').length,
    text: onOneLine(match[0]),
  }));
}

/** Without the marks that begin the lines of comments and quotations, and without the code inside of templates. */
function onOneLine(text: string): string {
  const plain = text.startsWith('`') ? text.replaceAll(/\$\{[^}]*\}/g, '…') : text;
  return plain.replaceAll(/\s*\n[ \t]*(?:\*(?!\/)|\/\/|#|>)?[ \t]*/g, ' ').trim();
}
