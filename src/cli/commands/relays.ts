import type { Command } from 'commander';
import type { AnswerOf } from '../../routes.ts';
import type { Cli, CommonOptions } from '../cli.ts';
import { EXIT } from '../output/exit-codes.ts';
import { moment, printable, table } from '../output/text.ts';

/** `relays`: which relays are connected, and what each serves. */
export function registerRelays(program: Command, cli: Cli): void {
  cli
    .command(program, 'relays', 'list the relays that are connected, and the version that each serves')
    .action((options: CommonOptions) =>
      cli.run(options, async (context) => {
        const { body } = await context.client.call<AnswerOf<'listRelays'>>({
          method: 'GET',
          path: '/v1/relays',
        });
        context.print(body, (columns) => {
          if (body.items.length === 0) return 'No relay has reported in the last 45 seconds.';
          const rows = body.items.map(
            ({ environment, relay, version, served_ms, reported_ms, principal }) => [
              ...[
                printable(environment),
                printable(relay),
                `${version}`,
                moment(served_ms),
                moment(reported_ms),
              ],
              printable(principal),
            ],
          );
          const head = ['ENVIRONMENT', 'RELAY', 'VERSION', 'SINCE', 'REPORTED', 'PRINCIPAL'];
          return table(head, rows, columns);
        });
        return EXIT.done;
      }),
    );
}
