import { inWords } from '../../moment.ts';
import { usageError } from '../cli-error.ts';

/**
 * What a terminal does not show as itself: control and bidirectional characters could rewrite what it shows, and invisible
 * ones hide a difference or a message.
 */
const MISLEADING =
  /(?![\n\t])[\p{Cc}\p{Bidi_Control}\p{Default_Ignorable_Code_Point}\p{Zl}\p{Zp}\ufff9-\ufffb]/gu;

/** Makes everything in a text visible. All output of the command line passes through this, or through {@link jsonText}. */
export function visible(text: string): string {
  return text.replaceAll(MISLEADING, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
}

/** A JSON document in which everything is visible; JSON has escapes of its own. */
export function jsonText(document: unknown, indent = 2): string {
  return (JSON.stringify(document, null, indent) ?? 'null').replaceAll(MISLEADING, (character) =>
    character
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join(''),
  );
}

/**
 * Makes untrusted text safe within the output of a command. Lines after the first are indented, so they cannot imitate the
 * command's own output.
 */
export function printable(text: string): string {
  return visible(text).replaceAll('\n', '\n      | ');
}

/** A value as compact JSON that is safe for a terminal. */
export function printableJson(value: unknown): string {
  return printable(JSON.stringify(value) ?? 'nothing');
}

/** A moment (epoch milliseconds) in words, UTC. */
export function moment(ms: number): string {
  return inWords('UTC', ms);
}

/**
 * One member of a document, for people: moments in words, whatever is deeper as compact JSON. The unit at the end of a name
 * goes with it.
 */
export function member(name: string, value: unknown): { name: string; value: string } {
  if (name.endsWith('_ms') && (typeof value === 'number' || value === null)) {
    return { name: name.slice(0, -'_ms'.length), value: value === null ? 'never' : moment(value) };
  }
  if (value === null) return { name, value: 'none' };
  return { name, value: typeof value === 'string' ? printable(value) : printableJson(value) };
}

/** One word of a command line, quoted for a POSIX shell where necessary. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./…-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/**
 * Encodes an id as one path segment.
 *
 * @throws CliError `usage` for an id that would change the path
 */
export function pathSegment(id: string): string {
  // An empty segment and dots survive the encoding and would change the path.
  if (/^\.{0,2}$/.test(id)) throw usageError(`"${id}" is not an id.`);
  return encodeURIComponent(id);
}

/** The longest word that is kept whole where a table must be narrower: ids are copied. */
const MAX_WHOLE = 40;
const GAP = 2;

/** The least width of a value beside its heading, where a terminal is too narrow for a table. */
const MIN_VALUE = 8;

/**
 * Rows as aligned columns; the last column is not padded.
 *
 * @param columns the width of the terminal: cells that do not fit go on in the next line, and where that is not enough,
 *   each row is a list of its cells; null for no limit
 */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  columns: number | null = null,
): string {
  const shown = rows.map((row) => row.map((cell) => printable(cell).replaceAll('\n', ' ')));
  const all = [head, ...shown];
  const widths = fitted(
    head.map((_, column) => all.map((row) => row[column] ?? '')),
    columns,
  );
  if (columns !== null && widthOf(widths) > columns && shown.length > 0) return asLists(head, shown, columns);
  return all.flatMap((row) => linesOf(row, widths)).join('\n');
}

function widthOf(widths: readonly number[]): number {
  return widths.reduce((sum, width) => sum + width + GAP, -GAP);
}

/** Each row as its cells below each other, with their headings. */
function asLists(head: readonly string[], rows: readonly (readonly string[])[], columns: number): string {
  const label = Math.max(...head.map(({ length }) => length));
  const value = Math.max(MIN_VALUE, columns - label - GAP);
  return rows
    .map((row) => row.flatMap((cell, at) => linesOf([head[at] ?? '', cell], [label, value])).join('\n'))
    .join('\n\n');
}

/** The width of each column: that of its cells, or less, beginning with the widest, where they do not fit. */
function fitted(cells: readonly (readonly string[])[], columns: number | null): number[] {
  const widths = cells.map((column) => Math.max(...column.map(({ length }) => length)));
  if (columns === null) return widths;
  const least = cells.map((column) =>
    Math.min(MAX_WHOLE, Math.max(...column.flatMap((cell) => cell.split(' ')).map(({ length }) => length))),
  );
  const spare = () => widths.map((width, at) => width - (least[at] ?? width));
  let excess = widthOf(widths) - columns;
  while (excess > 0 && spare().some((left) => left > 0)) {
    const shrinkable = widths.map((width, at) => ((spare()[at] ?? 0) > 0 ? width : 0));
    const widest = shrinkable.indexOf(Math.max(...shrinkable));
    widths[widest] = (widths[widest] ?? 0) - 1;
    excess -= 1;
  }
  return widths;
}

/** One row, in as many lines as its longest cell takes. */
function linesOf(row: readonly string[], widths: readonly number[]): string[] {
  const cells = row.map((cell, column) => wrapped(cell, widths[column] ?? cell.length));
  const height = Math.max(...cells.map(({ length }) => length));
  return Array.from({ length: height }, (_, line) =>
    cells
      .map((cell, column) => {
        const text = cell[line] ?? '';
        return column === row.length - 1 ? text : text.padEnd(widths[column] ?? 0);
      })
      .join(' '.repeat(GAP))
      .trimEnd(),
  );
}

/** A text in lines of at most that width; longer words are broken. */
function wrapped(text: string, width: number): string[] {
  if (text.length <= width) return [text];
  const lines: string[] = [];
  let rest = text;
  while (rest.length > width) {
    const space = rest.lastIndexOf(' ', width);
    const end = space > 0 ? space : width;
    lines.push(rest.slice(0, end));
    rest = rest.slice(end).trimStart();
  }
  return [...lines, rest];
}
