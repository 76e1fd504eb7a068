import type { Command } from 'commander';
import { isFetchable } from '../../issuers/issuers.ts';
import { holdersOf, ROLES } from '../author/project-data.ts';
import {
  addProjectOptions,
  answerOf,
  type ProjectOptions,
  projectAnswersOf,
  providerOf,
  ROLE_LIST,
} from '../author/project-options.ts';
import { type Cli, DEFAULT_BROKER, type Output } from '../cli.ts';
import { usageError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../output/exit-codes.ts';
import { printable, shellWord } from '../output/text.ts';
import { createSetup, type SetupCreated } from '../setup/create.ts';
import type { SetupAnswers } from '../setup/texts.ts';

interface InitOptions extends ProjectOptions {
  json?: boolean;
  clientId?: string;
  clientSecret?: string;
  groupsClaim: string;
  url: string;
  force?: boolean;
}

/** `init`: a set-up of one's own, from a few answers to a running broker. */
export function registerInit(program: Command, cli: Cli): void {
  addProjectOptions(
    cli.localCommand(
      program,
      'init [folder]',
      'write a set-up for your own company: configuration, policy, service',
    ),
  )
    .option('--client-id <id>', 'the client of the command line at that provider (asked for at a terminal)')
    .option('--client-secret <text>', 'what Google demands of that client, although it protects nothing')
    .option('--groups-claim <claim>', 'the claim with the groups of a person', 'groups')
    .option('--url <url>', 'the address at which others reach the broker', DEFAULT_BROKER)
    .option('--force', 'write into a folder that has such files; what is there is never overwritten')
    .addHelpText(
      'after',
      `
The roles, each of which needs a group:
${ROLE_LIST}

Examples:
  countersign init
  countersign init /etc/countersign --issuer https://login.example.com --client-id countersign-cli \\
      --group flag-deployer=engineers flag-approver=leads security-approver=security
  countersign init --issuer https://id.example.com/realms/acme --provider keycloak --client-id countersign-cli`,
    )
    .action((folder: string | undefined, options: InitOptions) =>
      cli.runLocal(options, (output) => init(output, folder ?? '.', options)),
    );
}

async function init(output: Output, folder: string, options: InitOptions): Promise<ExitCode> {
  const answers = await answersOf(output, options);
  const created = await createSetup(folder, answers, { force: options.force === true });
  output.print(created, () => describe(folder, answers, created));
  return EXIT.done;
}

/** Everything is checked before a file is written. @throws CliError `usage` */
async function answersOf(output: Output, options: InitOptions): Promise<SetupAnswers> {
  const { issuer, provider } = await providerOf(output, options);
  const clientId = await answerOf(output, {
    given: options.clientId,
    question: 'Client id of the command line at that provider: ',
    missing: 'Name the client of the command line with --client-id ID.',
  });
  const url = originOf(options.url);
  const project = await projectAnswersOf(output, options, provider);
  const clientSecret = options.clientSecret ?? null;
  return { issuer, provider, clientId, clientSecret, ...project, groupsClaim: options.groupsClaim, url };
}

function originOf(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || url.pathname !== '/' || !isFetchable(text, true)) {
    throw usageError(
      `--url: ${text} is no https address without a path. Plain http is for this machine only.`,
    );
  }
  return url.origin;
}

function describe(folder: string, answers: SetupAnswers, created: SetupCreated): string {
  const { issuer, provider, bindBy } = answers;
  const { written, kept, policy_hash, trial } = created;
  const into = folder === '.' ? [] : [`cd ${shellWord(folder)}`];
  // Without it, the commands would go to whatever broker runs at the default address.
  const reach = answers.url === DEFAULT_BROKER ? [] : [`export COUNTERSIGN_URL=${shellWord(answers.url)}`];
  const whoIs = (role: string) => holdersOf(answers, role).map(printable).join(', ');
  const by = bindBy === null ? 'groups' : bindBy;
  return [
    `written to ${printable(folder)}`,
    ...written.map((path) => `    ${printable(path)}`),
    ...kept.map((path) => `kept as it is: ${printable(path)}`),
    `policy   ${policy_hash}`,
    '',
    `Who may do what, by the ${by} of ${printable(issuer)}:`,
    ...Object.entries(ROLES).map(([role, { does }]) => `    ${whoIs(role).padEnd(24)} ${does} (${role})`),
    '',
    `About ${provider.name}, see docs/identity.md, too:`,
    ...provider.advice.map((line) => `    ${line}`),
    '',
    'Next, in one terminal:',
    ...[...into, 'countersign serve'].map((line) => `    ${line}`),
    `and in another one, as ${whoIs('flag-deployer')}:`,
    ...[...into, ...reach, 'countersign login'].map((line) => `    ${line}`),
    ...(trial.alone === null
      ? []
      : [`    countersign propose --file ${trial.alone}      # applied at once: nobody else is needed`]),
    ...(trial.held === null
      ? []
      : [
          `    countersign propose --file ${trial.held}    # held, until somebody else approves`,
          '',
          `Alone, one person creates informational flags, and changes ${aloneIn(answers)}. For more, invite:`,
          `    ${whoIs('flag-approver').padEnd(24)} for new flags above informational, and what they do in production`,
          `    ${whoIs('security-approver').padEnd(24)} for high-risk flags, too`,
          'Nobody approves their own request.',
        ]),
    '',
    `To change the policy before the first start: edit policy/data, then countersign policy build policy -o bundle.tar.gz`,
    'To run it as a service: copy countersign.service to /etc/systemd/system, then systemctl enable --now countersign',
  ].join('\n');
}

/** What needs nobody else, by the shipped tiers. */
function aloneIn({ environments }: SetupAnswers): string {
  const development = [...environments].filter(([, kind]) => kind === 'development').map(([key]) => key);
  return development.length === 0
    ? 'them anywhere'
    : `them anywhere, and every flag in ${development.map(printable).join(', ')}`;
}
