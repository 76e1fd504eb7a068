import { type Command, Option } from 'commander';
import { FLAG_KINDS, type FlagDefinition, type FlagState, TIERS } from '../../flags/model.ts';
import type { Cli, CommonOptions, Context } from '../cli.ts';
import { usageError } from '../cli-error.ts';
import { describeState } from '../output/describe-state.ts';
import { EXIT, type ExitCode } from '../output/exit-codes.ts';
import { addPageOptions, type PageOptions, pageQuery, printPage } from '../output/paging.ts';
import { member, moment, pathSegment, table } from '../output/text.ts';

interface FlagsOptions extends CommonOptions, PageOptions {
  environment?: string;
  namespace?: string;
  history?: boolean;
  search?: string;
  owner?: string;
  tier?: string;
  kind?: string;
  enabled?: boolean;
}

type ListedFlag = FlagDefinition & { state: FlagState | null; version: number };
type ShownFlag = FlagDefinition & { states: Record<string, FlagState & { version: number }> };
interface FlagVersion {
  version: number;
  at_ms: number;
  request_id: string;
  state: FlagState;
}

/** `flags`: all of an environment, one in all environments, or the history of one. */
export function registerFlags(program: Command, cli: Cli): void {
  const flags = cli
    .command(program, 'flags [key]', 'list the flags of an environment, or show one flag')
    .option('--environment <key>', 'the environment')
    .option('--namespace <key>', 'only in this namespace')
    .option('--search <text>', 'only if the key, the owner or the purpose contains it')
    .option('--owner <name>', 'only of this owner')
    .addOption(new Option('--tier <tier>', 'only of this tier').choices(TIERS))
    .addOption(new Option('--kind <kind>', 'only of this kind').choices(FLAG_KINDS))
    .option('--enabled', 'only if switched on in the environment')
    .option('--history', 'list all versions of one flag in the environment, newest first');
  addPageOptions(flags).action((key: string | undefined, options: FlagsOptions) =>
    cli.run(options, (context) => {
      if (key === undefined) return listFlags(context, options);
      return options.history === true ? listVersions(context, key, options) : showFlag(context, key, options);
    }),
  );
}

async function listFlags(context: Context, options: FlagsOptions): Promise<ExitCode> {
  const environment = environmentOf(options);
  if (options.history === true) throw usageError('Name the flag: countersign flags KEY --history');
  const page = await context.client.list<ListedFlag>({
    path: '/v1/flags',
    query: {
      ...{ environment, namespace: options.namespace, q: options.search, owner: options.owner },
      ...{ tier: options.tier, kind: options.kind, enabled: options.enabled?.toString() },
      ...pageQuery(options),
    },
    all: options.all === true,
  });
  return printPage(context, page, (items, columns) =>
    table(
      ['KEY', 'NAMESPACE', 'TIER', 'KIND', 'VERSION', 'STATE'],
      items.map((flag) => [
        flag.key,
        flag.namespace,
        flag.tier,
        flag.kind,
        String(flag.version),
        describeState(flag.state),
      ]),
      columns,
    ),
  );
}

async function showFlag(context: Context, key: string, options: FlagsOptions): Promise<ExitCode> {
  const path = `/v1/flags/${pathSegment(key)}`;
  const query = { environment: options.environment };
  const { body: flag } = await context.client.call<ShownFlag>({ method: 'GET', path, query });
  const states = Object.entries(flag.states);
  context.print(flag, (columns) => {
    const { states: _, ...definition } = flag;
    return [
      ...Object.entries(definition)
        .map(([key, given]) => member(key, given))
        .map(({ name, value }) => `${name.padEnd(18)} ${value}`),
      '',
      table(
        ['ENVIRONMENT', 'VERSION', 'STATE'],
        states.map(([name, state]) => [name, String(state.version), describeState(state)]),
        columns,
      ),
    ].join('\n');
  });
  return EXIT.done;
}

async function listVersions(context: Context, key: string, options: FlagsOptions): Promise<ExitCode> {
  const page = await context.client.list<FlagVersion>({
    path: `/v1/flags/${pathSegment(key)}/versions`,
    query: { environment: environmentOf(options), ...pageQuery(options) },
    all: options.all === true,
  });
  return printPage(context, page, (items, columns) =>
    table(
      ['VERSION', 'SINCE', 'REQUEST', 'STATE'],
      items.map(({ version, at_ms, request_id, state }) => [
        String(version),
        moment(at_ms),
        request_id,
        describeState(state),
      ]),
      columns,
    ),
  );
}

function environmentOf({ environment }: FlagsOptions): string {
  if (environment === undefined) throw usageError('Specify the environment with --environment KEY.');
  return environment;
}
