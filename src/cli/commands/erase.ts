import type { Command } from 'commander';
import type { ErasurePreview } from '../../erasure/preview.ts';
import type { Cli, CommonOptions, Context } from '../cli.ts';
import { usageError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../output/exit-codes.ts';
import { moment, printable } from '../output/text.ts';
import { addWaitOptions, proposeContent, type WaitOptions } from './propose.ts';

interface EraseOptions extends CommonOptions, WaitOptions {
  pseudonym?: true;
  reason?: string;
  ticket?: string;
  dryRun?: true;
}

/** The most names and ids to list of each kind; the rest are counted. */
const SHOWN = 20;

/** `erase`. */
export function registerErase(program: Command, cli: Cli): void {
  const erase = cli
    .command(program, 'erase <person>', 'propose to erase a person; requires two others, one an auditor')
    .option('--pseudonym', 'PERSON is the pseudonym that a request names')
    .option('--reason <text>', 'the reason, without the name; optional for a dry run')
    .option('--ticket <id>', 'the ticket reference')
    .option('--dry-run', 'show what would be erased, and propose nothing');
  addWaitOptions(erase).action((person: string, options: EraseOptions) =>
    cli.run(options, async (context) => {
      const { reason, ticket, dryRun } = options;
      if (dryRun !== true && reason === undefined) {
        throw usageError('An erasure requires --reason TEXT. Use --dry-run for a preview without it.');
      }
      const preview = await foreseen(
        context,
        options.pseudonym === true ? { pseudonym: person } : { person },
      );
      if (dryRun === true) return print(context, preview);
      const body = {
        kind: 'person.erase',
        subject: preview.pseudonym,
        reason,
        ...(ticket === undefined ? {} : { ticket }),
      };
      return proposeContent(context, { body, ...options });
    }),
  );
}

async function foreseen({ client }: Context, body: object): Promise<ErasurePreview> {
  const call = { method: 'POST', path: '/v1/erasures/preview', body } as const;
  return (await client.call<ErasurePreview>(call)).body;
}

function print(context: Context, preview: ErasurePreview): ExitCode {
  context.print(preview, () => render(preview).join('\n'));
  return EXIT.done;
}

function render(preview: ErasurePreview): string[] {
  const { pseudonym, persons, accounts, places, mappings, requests, open_requests, revocations } = preview;
  const span =
    preview.oldest_ms === null || preview.newest_ms === null
      ? ''
      : `, of ${moment(preview.oldest_ms)} to ${moment(preview.newest_ms)}`;
  return [
    `person      ${listed(persons)}`,
    `pseudonym   ${pseudonym}`,
    `accounts    ${listed(accounts)}`,
    'This would erase',
    `  the names of ${mappings.length} pseudonyms`,
    `  what is readable of ${places.length} records${span}: ${listed(places.map(String))}`,
    `  the name in ${requests} closed requests, and in what else the broker keeps`,
    ...(revocations.length === 0 ? [] : [`  and lift revocations ${listed(revocations)}`]),
    ...(open_requests.length === 0 ? [] : [`close first: requests ${listed(open_requests)}`]),
    'Nothing was erased.',
  ];
}

function listed(names: readonly string[]): string {
  if (names.length === 0) return '-';
  const others = names.length > SHOWN ? [`and ${names.length - SHOWN} more`] : [];
  return [...names.slice(0, SHOWN).map(printable), ...others].join(', ');
}
