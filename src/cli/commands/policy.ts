import type { Command } from 'commander';
import { readBundleFile } from '../bundle-file.ts';
import type { Cli } from '../cli.ts';
import { EXIT } from '../output/exit-codes.ts';

/** `policy hash`: works without a broker. */
export function registerPolicy(program: Command, cli: Cli): void {
  const policy = program.command('policy').description('inspect policy bundles');
  cli
    .localCommand(policy, 'hash <file>', 'print the policy hash of a bundle')
    .action((file: string, options: { json?: boolean }) =>
      cli.runLocal(options, async ({ print }) => {
        const { hash } = await readBundleFile(file);
        print({ policy_hash: hash }, () => hash);
        return EXIT.done;
      }),
    );
}
