import { usageError } from '../cli-error.ts';

// Control characters and bidirectional overrides: they could rewrite what the terminal shows.
const MISLEADING = /(?![\n\t])[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]/gu;

/**
 * Makes untrusted text safe for a terminal. Invisible characters become escapes. Lines after the first are indented, so
 * they cannot imitate the command's own output.
 */
export function printable(text: string): string {
  return text
    .replaceAll(MISLEADING, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`)
    .replaceAll('\n', '\n      | ');
}

/** A value as compact JSON that is safe for a terminal. */
export function printableJson(value: unknown): string {
  return printable(JSON.stringify(value) ?? 'nothing');
}

/** A moment (epoch milliseconds) in ISO 8601, UTC. */
export function moment(ms: number): string {
  return new Date(ms).toISOString().replace('.000Z', 'Z');
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
