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
    .option('--limit <count>', 'maximum number of items, 1 to 200')
    .option('--cursor <cursor>', 'continue after an earlier page')
    .option('--all', 'fetch all pages');
}

/** The query parameters of the options. With `--all`, pages have the maximum size. */
export function pageQuery({ limit, cursor, all }: PageOptions): {
  limit: string | undefined;
  cursor: string | undefined;
} {
  return { limit: limit ?? (all === true ? '200' : undefined), cursor };
}

/** Prints one page, and how to get the next. */
export function printPage<T>(
  context: Context,
  page: Page<T>,
  human: (items: T[], columns: number | null) => string,
): ExitCode {
  context.print(page, (columns) => (page.items.length === 0 ? 'No results.' : human(page.items, columns)));
  if (page.next_cursor !== null && !context.json) {
    context.note(`More results: use --all or --cursor ${page.next_cursor}`);
  }
  return EXIT.done;
}
