import type { Command } from 'commander';
import type { Context } from '../cli.ts';
import type { Page } from '../client.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';

/** Options of a list. */
export interface PageOptions {
  limit?: string;
  cursor?: string;
  all?: boolean;
}

/** Adds the options of a list. */
export function addPageOptions(command: Command): Command {
  return command
    .option('--limit <count>', 'how many at most, 1 to 200')
    .option('--cursor <cursor>', 'go on where an earlier page ended')
    .option('--all', 'follow the cursors to the end');
}

/** The query parameters of the options. With `--all` the pages are as large as they may be. */
export function pageQuery({ limit, cursor, all }: PageOptions): {
  limit: string | undefined;
  cursor: string | undefined;
} {
  return { limit: limit ?? (all === true ? '200' : undefined), cursor };
}

/** Prints one page, and how to go on. */
export function printPage<T>(context: Context, page: Page<T>, human: (items: T[]) => string): ExitCode {
  context.print(page, () => (page.items.length === 0 ? 'There are none.' : human(page.items)));
  if (page.next_cursor !== null && !context.json) {
    context.note(`There are more: --all, or --cursor ${page.next_cursor}`);
  }
  return EXIT.done;
}
