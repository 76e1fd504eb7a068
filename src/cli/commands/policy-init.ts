import type { Command } from 'commander';
import { isFetchable } from '../../issuers/issuers.ts';
import { zoneFault } from '../../policy/data.ts';
import { createProject } from '../author/init.ts';
import { ENVIRONMENT_KINDS, type ProjectAnswers, ROLES } from '../author/project-data.ts';
import type { Cli, Output } from '../cli.ts';
import { usageError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../output/exit-codes.ts';
import { printable, shellWord } from '../output/text.ts';

interface InitOptions {
  json?: boolean;
  issuer?: string;
  group: string[];
  environment: string[];
  zone: string;
  url: string;
  repositoryId?: string;
  ownerId?: string;
  alias: string[];
  rego: boolean;
  force?: boolean;
}

const ROLE_LIST = Object.entries(ROLES)
  .map(([role, { does }]) => `  ${role.padEnd(24)}${does}`)
  .join('\n');

/** `policy init`: a policy project in an empty folder. */
export function registerInit(policy: Command, cli: Cli): void {
  cli
    .localCommand(
      policy,
      'init [folder]',
      'begin a policy of your own: data, cases, Rego, Makefile, pipeline',
    )
    .option(
      '--issuer <url>',
      'the identity provider of people: the iss of its tokens (asked for at a terminal)',
    )
    .option('--group <role=group...>', 'the group that has a role (default: a group of the same name)', [])
    .option('--environment <key=kind...>', `an environment and its kind: ${ENVIRONMENT_KINDS.join(', ')}`, [
      'production=production',
      'staging=staging',
      'development=development',
    ])
    .option('--zone <zone>', 'the time zone of the change windows', 'UTC')
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
  const issuer = options.issuer ?? (await ask(output, 'Identity provider (the iss of its tokens): '));
  if (issuer === null || issuer === '') throw usageError('Name the identity provider with --issuer URL.');
  if (!isFetchable(issuer, true)) throw usageError(`--issuer: ${issuer} is no https address.`);
  const fault = zoneFault(options.zone);
  if (fault !== null) throw usageError(`--zone: ${fault}.`);
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
    groups: await groupsOf(output, options),
    environments: environmentsOf(options.environment),
    zone: options.zone,
    broker: options.url.replace(/\/+$/, ''),
    repository:
      repositoryId === undefined || ownerId === undefined ? null : { id: repositoryId, owner: ownerId },
    aliases: pairsOf('--alias', options.alias),
  };
}

/** Without options, a person at a terminal is asked; an empty answer is the default. */
async function groupsOf(output: Output, options: InitOptions): Promise<Map<string, string>> {
  const groups = pairsOf('--group', options.group);
  for (const role of groups.keys()) {
    if (!Object.hasOwn(ROLES, role))
      throw usageError(`--group: there is no role ${role}. The roles: ${Object.keys(ROLES).join(', ')}.`);
  }
  if (options.issuer !== undefined || groups.size > 0) return groups;
  for (const [role, { does }] of Object.entries(ROLES)) {
    const answer = await ask(output, `Group of the role ${role}, which ${does} [${role}]: `);
    if (answer !== null && answer !== '') groups.set(role, answer);
  }
  return groups;
}

function environmentsOf(options: readonly string[]): Map<string, string> {
  const environments = pairsOf('--environment', options);
  for (const [key, kind] of environments) {
    if (!(ENVIRONMENT_KINDS as readonly string[]).includes(kind)) {
      throw usageError(
        `--environment ${key}: the kind is one of ${ENVIRONMENT_KINDS.join(', ')}, not ${kind}.`,
      );
    }
  }
  return environments;
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

async function ask({ io }: Output, question: string): Promise<string | null> {
  return io.ask === null ? null : (await io.ask(question)).trim();
}
