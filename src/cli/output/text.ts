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

/** Rows as aligned columns; the last column is not padded. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows.map((row) => row.map((cell) => printable(cell).replaceAll('\n', ' ')))];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all
    .map((row) =>
      row
        .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
