import type { Command } from 'commander';
import { createProject } from '../author/init.ts';
import type { ProjectAnswers } from '../author/project-data.ts';
import {
  addProjectOptions,
  type ProjectOptions,
  pairsOf,
  projectAnswersOf,
  providerOf,
  ROLE_LIST,
} from '../author/project-options.ts';
import type { Cli, Output } from '../cli.ts';
import { usageError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../output/exit-codes.ts';
import { printable, shellWord } from '../output/text.ts';

interface InitOptions extends ProjectOptions {
  json?: boolean;
  url: string;
  repositoryId?: string;
  ownerId?: string;
  alias: string[];
  rego: boolean;
  force?: boolean;
}

/** `policy init`: a policy project in an empty folder. */
export function registerInit(policy: Command, cli: Cli): void {
  addProjectOptions(
    cli.localCommand(
      policy,
      'init [folder]',
      'begin a policy of your own: data, cases, Rego, Makefile, pipeline',
    ),
  )
    .option('--url <url>', 'the address of the broker, for the pipeline', 'https://countersign.example.com')
    .option('--repository-id <id>', 'the repository on GitHub that proposes the policy, by its id')
    .option('--owner-id <id>', 'the owner of that repository, by its id')
    .option(
      '--alias <account=person...>',
      'an account of a person at GitHub, such as github:5001=dana@example.com',
      [],
    )
    .option('--no-rego', 'data and cases only; the Rego can be added later')
    .option('--force', 'write into a folder that is not empty; what is there is never overwritten')
    .addHelpText(
      'after',
      `
The roles, each of which needs a group:
${ROLE_LIST}

Examples:
  countersign policy init policy/ --issuer https://login.example.com
  countersign policy init policy/ --issuer https://login.example.com --zone Europe/Berlin \\
      --group flag-deployer=engineers flag-approver=leads security-approver=security`,
    )
    .action((folder: string | undefined, options: InitOptions) =>
      cli.runLocal(options, (output) => init(output, folder ?? '.', options)),
    );
}

async function init(output: Output, folder: string, options: InitOptions): Promise<ExitCode> {
  const answers = await answersOf(output, options);
  const created = await createProject(folder, answers, {
    withRego: options.rego,
    force: options.force === true,
  });
  const into = folder === '.' ? [] : [`cd ${shellWord(folder)}`];
  output.print(created, () =>
    [
      `${created.written.length} files written to ${printable(folder)}`,
      ...created.kept.map((path) => `kept as it is: ${printable(path)}`),
      'next:',
      ...[
        ...into,
        'countersign policy check',
        'countersign policy test',
        'countersign policy build -o bundle.tar.gz',
        'COUNTERSIGN_POLICY_BUNDLE=bundle.tar.gz countersign serve    # a new broker; an active policy is changed with policy propose',
      ].map((line) => `    ${line}`),
    ].join('\n'),
  );
  return EXIT.done;
}

async function answersOf(output: Output, options: InitOptions): Promise<ProjectAnswers> {
  const { issuer, provider } = await providerOf(output, options);
  const project = await projectAnswersOf(output, options, provider);
  const { repositoryId, ownerId } = options;
  if ((repositoryId === undefined) !== (ownerId === undefined)) {
    throw usageError(
      "Give --repository-id and --owner-id together; gh api repos/OWNER/REPO --jq '.id, .owner.id' prints both.",
    );
  }
  for (const [name, id] of Object.entries({ '--repository-id': repositoryId, '--owner-id': ownerId })) {
    if (id !== undefined && !/^[1-9]\d{0,18}$/.test(id)) throw usageError(`${name}: ${id} is not a number.`);
  }
  return {
    issuer,
    ...project,
    broker: options.url.replace(/\/+$/, ''),
    repository:
      repositoryId === undefined || ownerId === undefined ? null : { id: repositoryId, owner: ownerId },
    aliases: pairsOf('--alias', options.alias),
  };
}
