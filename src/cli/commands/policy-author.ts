import type { Command } from 'commander';
import type { AuthorOptions, BuildCommandOptions } from '../author/work.ts';
import type { Cli } from '../cli.ts';

// The policy engine is loaded by what needs it.
const work = () => import('../author/work.ts');

const OPA_HELP = 'the opa to use (default: the one on the path)';

/** `policy check`, `policy test` and `policy build`: a policy project on disk. None of them needs a broker. */
export function registerAuthor(policy: Command, cli: Cli): void {
  cli
    .localCommand(
      policy,
      'check [path]',
      'check a policy project or a bundle, as the broker does, and its own cases',
    )
    .option('--opa <file>', OPA_HELP)
    .addHelpText(
      'after',
      `
Checks the shapes of the data, the names in it, trust rules, the Rego if opa is there, and that every decision case passes.
Advice is printed too, and is no fault.

Examples:
  countersign policy check                  the project in this folder
  countersign policy check bundle.tar.gz`,
    )
    .action((path: string | undefined, options: AuthorOptions) =>
      cli.runLocal(options, async (output) => (await work()).check(output, path ?? '.', options)),
    );
  cli
    .localCommand(
      policy,
      'test [folder]',
      'run the decision cases of a policy project through its module, and its Rego tests',
    )
    .option('--opa <file>', OPA_HELP)
    .addHelpText('after', '\nExample:\n  countersign policy test')
    .action((folder: string | undefined, options: AuthorOptions) =>
      cli.runLocal(options, async (output) => (await work()).test(output, folder ?? '.', options)),
    );
  registerBuild(policy, cli);
}

function registerBuild(policy: Command, cli: Cli): void {
  cli
    .localCommand(
      policy,
      'build [folder]',
      'build the bundle of a policy project; needs opa only if its Rego is its own',
    )
    .requiredOption('-o, --output <file>', 'where to save it')
    .option('--module <bundle>', 'use the module of this bundle, whatever Rego the project has')
    .option('--revision <text>', 'a label for people, such as a commit')
    .option('--sign <key>', 'sign it with this private key (PEM)')
    .option('--key-id <name>', 'the name of the key in bundle_keys of the broker', 'default')
    .option('--opa <file>', OPA_HELP)
    .addHelpText(
      'after',
      `
Examples:
  countersign policy build -o bundle.tar.gz
  countersign policy build policy/ -o bundle.tar.gz --revision "$GITHUB_SHA" --sign release.pem --key-id release`,
    )
    .action((folder: string | undefined, options: BuildCommandOptions) =>
      cli.runLocal(options, async (output) => (await work()).build(output, folder ?? '.', options)),
    );
}
