import type { Command } from 'commander';
import { isFetchable } from '../../issuers/issuers.ts';
import { zoneFault } from '../../policy/data.ts';
import { ENVIRONMENT_KINDS, ROLES } from '../author/project-data.ts';
import type { Cli, Output } from '../cli.ts';
import { usageError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../output/exit-codes.ts';
import { printable, shellWord } from '../output/text.ts';
import { createSetup, type SetupCreated } from '../setup/create.ts';
import type { SetupAnswers } from '../setup/texts.ts';

interface InitOptions {
  json?: boolean;
  issuer?: string;
  clientId?: string;
  group: string[];
  groupsClaim: string;
  environment: string[];
  zone: string;
  url: string;
  force?: boolean;
}

const ROLE_LIST = Object.entries(ROLES)
  .map(([role, { does }]) => `  ${role.padEnd(24)}${does}`)
  .join('\n');

/** `init`: a set-up of one's own, from a few answers to a running broker. */
export function registerInit(program: Command, cli: Cli): void {
  cli
    .localCommand(
      program,
      'init [folder]',
      'write a set-up for your own company: configuration, policy, service',
    )
    .option('--issuer <url>', 'your identity provider: the iss of its tokens (asked for at a terminal)')
    .option('--client-id <id>', 'the client of the command line at that provider (asked for at a terminal)')
    .option('--group <role=group...>', 'the group that has a role (default: a group of the same name)', [])
    .option('--groups-claim <claim>', 'the claim with the groups of a person', 'groups')
    .option('--environment <key=kind...>', `an environment and its kind: ${ENVIRONMENT_KINDS.join(', ')}`, [
      'production=production',
      'staging=staging',
      'development=development',
    ])
    .option('--zone <zone>', 'the time zone of the change windows', 'UTC')
    .option('--url <url>', 'the address at which others reach the broker', 'http://127.0.0.1:8480')
    .option('--force', 'write into a folder that has such files; what is there is never overwritten')
    .addHelpText(
      'after',
      `
The roles, each of which needs a group:
${ROLE_LIST}

Examples:
  countersign init
  countersign init /etc/countersign --issuer https://login.example.com --client-id countersign-cli \\
      --group flag-deployer=engineers flag-approver=leads security-approver=security`,
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
  const isAsked = options.issuer === undefined;
  const issuer = await answerOf(output, {
    given: options.issuer,
    question: 'Identity provider (the iss of its tokens, such as https://login.example.com): ',
    option: '--issuer URL',
  });
  if (!isFetchable(issuer, true)) throw usageError(`--issuer: ${issuer} is no https address.`);
  const clientId = await answerOf(output, {
    given: options.clientId,
    question: 'Client id of the command line at that provider: ',
    option: '--client-id ID',
  });
  const url = originOf(options.url);
  const fault = zoneFault(options.zone);
  if (fault !== null) throw usageError(`--zone: ${fault}.`);
  const groups = pairsOf('--group', options.group);
  for (const role of groups.keys()) assertRole(role);
  if (isAsked && groups.size === 0) await askForGroups(output, groups);
  const environments = pairsOf('--environment', options.environment);
  for (const [key, kind] of environments) assertKind(key, kind);
  return {
    issuer,
    clientId,
    groups,
    groupsClaim: options.groupsClaim,
    environments,
    zone: options.zone,
    url,
  };
}

async function answerOf(
  { io }: Output,
  { given, question, option }: { given: string | undefined; question: string; option: string },
): Promise<string> {
  const answer = (given ?? (io.ask === null ? '' : await io.ask(question))).trim();
  if (answer === '') throw usageError(`Say it with ${option}. See: countersign init --help`);
  return answer;
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

/** An empty answer is the default: a group named like the role. */
async function askForGroups({ io }: Output, groups: Map<string, string>): Promise<void> {
  if (io.ask === null) return;
  for (const [role, { does }] of Object.entries(ROLES)) {
    const answer = (await io.ask(`Group of the role ${role}, which ${does} [${role}]: `)).trim();
    if (answer !== '') groups.set(role, answer);
  }
}

function assertRole(role: string): void {
  if (Object.hasOwn(ROLES, role)) return;
  throw usageError(`--group: there is no role ${role}. The roles: ${Object.keys(ROLES).join(', ')}.`);
}

function assertKind(key: string, kind: string): void {
  if ((ENVIRONMENT_KINDS as readonly string[]).includes(kind)) return;
  throw usageError(`--environment ${key}: the kind is one of ${ENVIRONMENT_KINDS.join(', ')}, not ${kind}.`);
}

function pairsOf(option: string, texts: readonly string[]): Map<string, string> {
  return new Map(
    texts.map((text) => {
      const [, key = '', value = ''] = /^([^=]+)=(.+)$/.exec(text) ?? [];
      if (key === '') throw usageError(`${option}: write ${text} as NAME=VALUE.`);
      return [key.trim(), value.trim()];
    }),
  );
}

function describe(folder: string, { groups, issuer }: SetupAnswers, created: SetupCreated): string {
  const { written, kept, policy_hash, trial } = created;
  const into = folder === '.' ? [] : [`cd ${shellWord(folder)}`];
  const groupOf = (role: string) => groups.get(role) ?? role;
  return [
    `written to ${printable(folder)}`,
    ...written.map((path) => `    ${printable(path)}`),
    ...kept.map((path) => `kept as it is: ${printable(path)}`),
    `policy   ${policy_hash}`,
    '',
    `Who may do what, by the groups of ${printable(issuer)}:`,
    ...Object.entries(ROLES).map(
      ([role, { does }]) => `    ${printable(groupOf(role)).padEnd(24)} ${does} (${role})`,
    ),
    '',
    'Next, in one terminal:',
    ...[...into, 'countersign serve'].map((line) => `    ${line}`),
    'and in another one, as a member of the first group:',
    ...[...into, 'countersign login'].map((line) => `    ${line}`),
    ...(trial.alone === null
      ? []
      : [`    countersign propose --file ${trial.alone}      # applied at once: nobody else is needed`]),
    ...(trial.held === null
      ? []
      : [
          `    countersign propose --file ${trial.held}    # held, until somebody in ${printable(groupOf('flag-approver'))} approves`,
          `Invite a second person into ${printable(groupOf('flag-approver'))}: nobody approves their own request.`,
        ]),
    '',
    `To change the policy before the first start: edit policy/data, then countersign policy build policy -o bundle.tar.gz`,
    'To run it as a service: copy countersign.service to /etc/systemd/system, then systemctl enable --now countersign',
  ].join('\n');
}
