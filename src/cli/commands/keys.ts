import { type Command, InvalidArgumentError } from 'commander';
import type { LogKeyRotation } from '../../keys/log-rotation.ts';
import type { SigningKeyView } from '../../keys/routes.ts';
import type { Cli, CommonOptions, Context } from '../cli.ts';
import { usageError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../output/exit-codes.ts';
import { addPageOptions, type PageOptions, pageQuery, printPage } from '../output/paging.ts';
import { moment, printable, table } from '../output/text.ts';

/** `keys list` and `keys rotate`. */
export function registerKeys(program: Command, cli: Cli): void {
  const keys = program.command('keys').description("manage the broker's signing keys");
  const list = cli.command(keys, 'list', 'list the signing keys, newest first');
  addPageOptions(list).action((options: CommonOptions & PageOptions) =>
    cli.run(options, async (context) => {
      const page = await context.client.list<SigningKeyView>({
        path: '/v1/keys',
        query: pageQuery(options),
        all: options.all === true,
      });
      return printPage(context, page, (items, columns) =>
        table(['KID', 'STATE', 'CREATED', 'VERIFIES UNTIL'], items.map(keyRow), columns),
      );
    }),
  );
  cli
    .command(
      keys,
      'rotate',
      'sign with a new key from now on; the previous key verifies until its tokens expire',
    )
    .option('--log', 'rotate the key of the decision log instead, which signs its checkpoints')
    .option('--overlap-days <days>', 'with --log: for how long the former key signs, too', parseDays)
    .addHelpText(
      'after',
      `
Examples:
  countersign keys rotate
  countersign keys rotate --log
  countersign keys rotate --log --overlap-days 0

A record commits the new key of the log, signed by the former one. Whoever has the former key finds the new one with
countersign verify. With 0 days the former key signs nothing more, which is right if somebody else may have it.`,
    )
    .action((options: CommonOptions & { log?: boolean; overlapDays?: number }) => {
      const { log = false, overlapDays } = options;
      if (!log && overlapDays !== undefined) throw usageError('--overlap-days is for --log.');
      return cli.run(options, (context) => (log ? rotateLog(context, overlapDays) : rotateTokens(context)));
    });
}

async function rotateTokens(context: Context): Promise<ExitCode> {
  const call = { method: 'POST', path: '/v1/keys/rotate', idempotencyKey: true } as const;
  const { body } = await context.client.call<{ kid: string }>(call);
  context.print(body, () => `The new signing key is ${printable(body.kid)}.`);
  return EXIT.done;
}

async function rotateLog(context: Context, overlapDays: number | undefined): Promise<ExitCode> {
  const { body } = await context.client.call<LogKeyRotation>({
    method: 'POST',
    path: '/v1/log/keys/rotate',
    idempotencyKey: true,
    body: overlapDays === undefined ? {} : { overlap_days: overlapDays },
  });
  context.print(body, () =>
    [
      `The new key of the log, which the record at place ${body.place} commits:`,
      printable(body.key),
      `The former key signs, too, until ${moment(body.retires_ms)}. Hand the new one to whoever verifies the log.`,
    ].join('\n'),
  );
  return EXIT.done;
}

function parseDays(text: string): number {
  const days = /^\d{1,3}$/.test(text) ? Number(text) : Number.NaN;
  if (!(days <= 365)) throw new InvalidArgumentError('It must be a number of days, up to 365.');
  return days;
}

function keyRow({ kid, state, created_ms, retires_ms }: SigningKeyView): string[] {
  return [kid, state, moment(created_ms), retires_ms === null ? '-' : moment(retires_ms)];
}
