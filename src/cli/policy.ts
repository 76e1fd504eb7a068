import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { readBundle } from '../policy/bundle.ts';
import type { Cli } from './cli.ts';
import { CliError } from './cli-error.ts';
import { EXIT } from './exit-codes.ts';

/** `policy hash`: needs no broker. */
export function registerPolicy(program: Command, cli: Cli): void {
  const policy = program.command('policy').description('policy bundles');
  cli
    .localCommand(policy, 'hash <file>', 'print the policy hash of a bundle')
    .action((file: string, options: { json?: boolean }) =>
      cli.runLocal(options, async ({ print }) => {
        const hash = await hashOf(file);
        print({ policy_hash: hash }, () => hash);
        return EXIT.done;
      }),
    );
}

async function hashOf(file: string): Promise<string> {
  try {
    return (await readBundle(await readFile(file))).hash;
  } catch (error) {
    throw new CliError(
      EXIT.error,
      {
        code: 'bundle_unusable',
        title: 'The bundle cannot be used',
        detail: `${file}: ${(error as Error).message}`,
      },
      { cause: error },
    );
  }
}
