import type { Command } from 'commander';
import { isFetchable } from '../../issuers/issuers.ts';
import { zoneFault } from '../../policy/data.ts';
import type { Output } from '../cli.ts';
import { usageError } from '../cli-error.ts';
import { ENVIRONMENT_KINDS, type ProjectAnswers, ROLES } from './project-data.ts';

/** The options of every command that begins a policy. */
export interface ProjectOptions {
  issuer?: string;
  group: string[];
  environment: string[];
  zone: string;
  registry: string;
}

/** For the help of such a command. */
export const ROLE_LIST = Object.entries(ROLES)
  .map(([role, { does }]) => `  ${role.padEnd(24)}${does}`)
  .join('\n');

/** Adds {@link ProjectOptions} to a command. */
export function addProjectOptions(command: Command): Command {
  return command
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
    .option(
      '--registry <url>',
      'the npm registry from which its pipeline installs Countersign',
      'https://npm.example.com/',
    );
}

/** The identity provider; a person at a terminal is asked for it. @throws CliError `usage` */
export async function issuerOf(output: Output, options: ProjectOptions): Promise<string> {
  const issuer = await answerOf(output, {
    given: options.issuer,
    question: 'Identity provider (the iss of its tokens, such as https://login.example.com): ',
    missing: 'Name the identity provider with --issuer URL.',
  });
  if (!isFetchable(issuer, true)) throw usageError(`--issuer: ${issuer} is no https address.`);
  return issuer;
}

/** Reads the others; at a terminal, a person is asked for what is missing. @throws CliError `usage` */
export async function projectAnswersOf(
  output: Output,
  options: ProjectOptions,
): Promise<Pick<ProjectAnswers, 'groups' | 'environments' | 'zone' | 'registry'>> {
  const fault = zoneFault(options.zone);
  if (fault !== null) throw usageError(`--zone: ${fault}.`);
  if (!isFetchable(options.registry, true))
    throw usageError(`--registry: ${options.registry} is no https address.`);
  return {
    registry: options.registry,
    groups: await groupsOf(output, options),
    environments: environmentsOf(options.environment),
    zone: options.zone,
  };
}

/** What was given, or what a person at a terminal answers. @throws CliError `usage` if it is empty */
export async function answerOf(
  { io }: Output,
  { given, question, missing }: { given: string | undefined; question: string; missing: string },
): Promise<string> {
  const answer = (given ?? (io.ask === null ? '' : await io.ask(question))).trim();
  if (answer === '') throw usageError(missing);
  return answer;
}

/** Options of the form `NAME=VALUE`. @throws CliError `usage` */
export function pairsOf(option: string, texts: readonly string[]): Map<string, string> {
  return new Map(
    texts.map((text) => {
      const [, key = '', value = ''] = /^([^=]+)=(.+)$/.exec(text) ?? [];
      if (key === '') throw usageError(`${option}: write ${text} as NAME=VALUE.`);
      return [key.trim(), value.trim()];
    }),
  );
}

/** Without options, a person at a terminal is asked; an empty answer is the default: a group named like the role. */
async function groupsOf({ io }: Output, { issuer, group }: ProjectOptions): Promise<Map<string, string>> {
  const groups = pairsOf('--group', group);
  for (const role of groups.keys()) {
    if (!Object.hasOwn(ROLES, role)) {
      throw usageError(`--group: there is no role ${role}. The roles: ${Object.keys(ROLES).join(', ')}.`);
    }
  }
  if (io.ask === null || issuer !== undefined || groups.size > 0) return groups;
  for (const [role, { does }] of Object.entries(ROLES)) {
    const answer = (await io.ask(`Group of the role ${role}, which ${does} [${role}]: `)).trim();
    if (answer !== '') groups.set(role, answer);
  }
  return groups;
}

function environmentsOf(options: readonly string[]): Map<string, string> {
  const environments = pairsOf('--environment', options);
  for (const [key, kind] of environments) {
    if ((ENVIRONMENT_KINDS as readonly string[]).includes(kind)) continue;
    throw usageError(
      `--environment ${key}: the kind is one of ${ENVIRONMENT_KINDS.join(', ')}, not ${kind}.`,
    );
  }
  return environments;
}
