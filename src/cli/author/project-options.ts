import { type Command, Option } from 'commander';
import { isFetchable } from '../../issuers/issuers.ts';
import { zoneFault } from '../../policy/data.ts';
import type { Output } from '../cli.ts';
import { usageError } from '../cli-error.ts';
import { ENVIRONMENT_KINDS, type ProjectAnswers, ROLES } from './project-data.ts';
import { issuerAt, PROVIDERS, type Provider, type ProviderKey, recognizeProvider } from './providers.ts';

/** The options of every command that begins a policy. */
export interface ProjectOptions {
  issuer?: string;
  provider?: ProviderKey;
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
    .addOption(
      new Option('--provider <name>', 'which one it is (default: recognised by its address)').choices(
        Object.keys(PROVIDERS),
      ),
    )
    .option(
      '--group <role=group...>',
      'a group that has a role (default: one of the same name); for a provider without groups, the address of a person',
      [],
    )
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

/** The identity provider, by its `iss`; a person at a terminal is asked for it. @throws CliError `usage` */
export async function providerOf(
  output: Output,
  options: ProjectOptions,
): Promise<{ issuer: string; provider: Provider }> {
  const address = await answerOf(output, {
    given: options.issuer,
    question: 'Identity provider (the iss of its tokens, such as https://login.example.com): ',
    missing: 'Name the identity provider with --issuer URL.',
  });
  if (!isFetchable(address, true)) throw usageError(`--issuer: ${address} is no https address.`);
  const provider: Provider = PROVIDERS[options.provider ?? recognizeProvider(address)];
  const issuer = issuerAt(provider, address);
  if (issuer !== address)
    output.note(`The tokens of ${provider.name} name ${issuer}, so that is the issuer.`);
  return { issuer, provider };
}

/** Reads the others; at a terminal, a person is asked for what is missing. @throws CliError `usage` */
export async function projectAnswersOf(
  output: Output,
  options: ProjectOptions,
  provider: Provider,
): Promise<Pick<ProjectAnswers, 'holders' | 'bindBy' | 'environments' | 'zone' | 'registry'>> {
  const fault = zoneFault(options.zone);
  if (fault !== null) throw usageError(`--zone: ${fault}.`);
  if (!isFetchable(options.registry, true))
    throw usageError(`--registry: ${options.registry} is no https address.`);
  return {
    registry: options.registry,
    holders: await holdersOf(output, options, provider),
    bindBy: provider.bindBy ?? null,
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
  return new Map(texts.map((text) => pairOf(option, text)));
}

function pairOf(option: string, text: string): [key: string, value: string] {
  const [, key = '', value = ''] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  if (key === '')
    throw usageError(`${option}: write ${text} as NAME=VALUE. A folder comes before the options.`);
  return [key.trim(), value.trim()];
}

/** Who has each role. Without options, a person at a terminal is asked. */
async function holdersOf(
  output: Output,
  options: ProjectOptions,
  { name, bindBy }: Provider,
): Promise<Map<string, string[]>> {
  const holders = new Map<string, string[]>();
  for (const text of options.group) {
    const [role, holder] = pairOf('--group', text);
    if (!Object.hasOwn(ROLES, role)) {
      throw usageError(`--group: there is no role ${role}. The roles: ${Object.keys(ROLES).join(', ')}.`);
    }
    holders.set(role, [...(holders.get(role) ?? []), holder]);
  }
  const mayAsk = options.issuer === undefined && holders.size === 0;
  if (output.io.ask !== null && mayAsk) await askForHolders(output.io.ask, holders, bindBy);
  const missing = Object.keys(ROLES).filter((role) => !holders.has(role));
  if (bindBy === undefined || missing.length === 0) return holders;
  // A group may exist before it has members; a person is somebody.
  throw usageError(
    `The tokens of ${name} have no groups, so each role is bound to people, by their ${bindBy}. Nobody has ${missing.join(', ')}: name people with --group ${missing[0]}=dana@example.com. One person may have several roles, and nobody approves their own request.`,
  );
}

/** An empty answer is the default: a group named like the role, or nobody. Addresses are separated by commas. */
async function askForHolders(
  ask: (question: string) => Promise<string>,
  holders: Map<string, string[]>,
  bindBy: string | undefined,
): Promise<void> {
  for (const [role, { does }] of Object.entries(ROLES)) {
    const question =
      bindBy === undefined
        ? `Group of the role ${role}, which ${does} [${role}]: `
        : `Who has the role ${role}, which ${does} (${bindBy}; several with commas): `;
    const answer = (await ask(question)).trim();
    const named = bindBy === undefined ? [answer] : answer.split(/[,\s]+/);
    const given = named.filter((each) => each !== '');
    if (given.length > 0) holders.set(role, given);
  }
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
