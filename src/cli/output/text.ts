import { usageError } from '../cli-error.ts';

// Control characters and bidirectional overrides: with these a text could repaint what the terminal shows.
const MISLEADING = /(?![\n\t])[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]/gu;

/**
 * Text of others as it may be shown in a terminal: what is not visible is written as an escape, and lines after the
 * first are indented, so that no text can look like a line of the command's own.
 */
export function printable(text: string): string {
  return text
    .replaceAll(MISLEADING, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`)
    .replaceAll('\n', '\n      | ');
}

/** A value as compact JSON that may be shown in a terminal. */
export function printableJson(value: unknown): string {
  return printable(JSON.stringify(value) ?? 'nothing');
}

/** A moment (epoch milliseconds) in ISO 8601, UTC. */
export function moment(ms: number): string {
  return new Date(ms).toISOString().replace('.000Z', 'Z');
}

/** One word of a command line, quoted for a POSIX shell where it has to be. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./…-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/**
 * An id as one segment of a path.
 *
 * @throws CliError `usage` for what would make another path of it
 */
export function pathSegment(id: string): string {
  // An empty segment and dots survive the encoding, and mean other places.
  if (/^\.{0,2}$/.test(id)) throw usageError(`"${id}" is no id.`);
  return encodeURIComponent(id);
}

/** Rows as aligned columns; the last column is as long as it is. */
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
