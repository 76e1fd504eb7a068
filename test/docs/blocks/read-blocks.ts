import { readPage } from '../pages.ts';

/** A fenced or indented block of a page. */
export interface Block {
  page: string;
  /** The line of its first text line. */
  line: number;
  /** What follows the fence, such as `yaml`; `indented` for a block without one. */
  language: string;
  text: string;
  /** What the comments right before it say, which readers do not see: `not run`, `answer`, … to the text behind it. */
  notes: ReadonlyMap<string, string>;
}

/** The notes that a page can give to a block (CONTRIBUTING.md describes them). */
const NOTES = ['terminal', 'in', 'as', 'before', 'answer', 'data', 'file', 'run by', 'not run'] as const;

/** The blocks of a page, in order. */
export function readBlocks(page: string): Block[] {
  const lines = readPage(page).split('\n');
  const blocks: Block[] = [];
  for (let at = 0; at < lines.length; at += 1) {
    const fence = /^( *)```(.*)$/.exec(lines[at] ?? '');
    const isIndented = /^ {4}\S/.test(lines[at] ?? '') && (lines[at - 1] ?? '') === '';
    if (fence === null && !isIndented) continue;
    const begin = fence === null ? at : at + 1;
    const end = endOf(lines, begin, fence !== null);
    const indent = fence === null ? 4 : (fence[1] ?? '').length;
    const text = lines.slice(begin, end).map((line) => line.slice(indent));
    const notes = notesBefore(lines, at, `${page}:${at}`);
    const language = fence === null ? 'indented' : (fence[2] ?? '');
    blocks.push({ page, line: begin + 1, language, text: text.join('\n').trimEnd(), notes });
    at = end;
  }
  return blocks;
}

function endOf(lines: readonly string[], begin: number, isFenced: boolean): number {
  const isEnd = isFenced
    ? (line: string) => line.trim() === '```'
    : (line: string) => !/^( {4}|$)/.test(line);
  const length = lines.slice(begin).findIndex(isEnd);
  return length === -1 ? lines.length : begin + length;
}

/** What the comments say that stand between the text before a block and the block, or end that text. */
function notesBefore(lines: readonly string[], at: number, place: string): Map<string, string> {
  const before = lines.slice(0, at).join('\n');
  const [comments = ''] = /(?:<!-- [^\n]* -->\s*)*$/.exec(before) ?? [];
  const begins = new RegExp(`; (?=(?:${NOTES.join('|')}): )`);
  const notes = [...comments.matchAll(/<!-- (.*?) -->/g)].flatMap(([, text = '']) => text.split(begins));
  return new Map(
    notes.map((note) => {
      const [, name = '', said = ''] = /^([a-z ]+): (.+)$/.exec(note) ?? [];
      if ((NOTES as readonly string[]).includes(name)) return [name, said];
      throw new Error(`${place}: no note is called that: ${note}. There are: ${NOTES.join(', ')}`);
    }),
  );
}
