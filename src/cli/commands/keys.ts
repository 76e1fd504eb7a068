import type { Command } from 'commander';
import type { SigningKeyView } from '../../keys/routes.ts';
import type { Cli, CommonOptions } from '../cli.ts';
import { EXIT } from '../output/exit-codes.ts';
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
    .action((options: CommonOptions) =>
      cli.run(options, async (context) => {
        const call = { method: 'POST', path: '/v1/keys/rotate', idempotencyKey: true } as const;
        const { body } = await context.client.call<{ kid: string }>(call);
        context.print(body, () => `The new signing key is ${printable(body.kid)}.`);
        return EXIT.done;
      }),
    );
}

function keyRow({ kid, state, created_ms, retires_ms }: SigningKeyView): string[] {
  return [kid, state, moment(created_ms), retires_ms === null ? '-' : moment(retires_ms)];
}
