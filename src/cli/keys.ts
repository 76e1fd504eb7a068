import type { Command } from 'commander';
import type { Cli, CommonOptions } from './cli.ts';
import { EXIT } from './exit-codes.ts';
import { printable } from './text.ts';

/** `keys rotate`. */
export function registerKeys(program: Command, cli: Cli): void {
  const keys = program.command('keys').description("the keys of the broker's own tokens");
  cli
    .command(
      keys,
      'rotate',
      'sign with a new key from now on; the former one verifies until its tokens expire',
    )
    .action((options: CommonOptions) =>
      cli.run(options, async (context) => {
        const call = { method: 'POST', path: '/v1/keys/rotate' } as const;
        const { body } = await context.client.call<{ kid: string }>(call);
        context.print(body, () => `The new signing key is ${printable(body.kid)}.`);
        return EXIT.done;
      }),
    );
}
