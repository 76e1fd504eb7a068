import type { Command } from 'commander';
import type { AnswerOf } from '../../routes.ts';
import { nearestOf, unknownName } from '../../unknown-name.ts';
import type { Cli, CommonOptions, Context } from '../cli.ts';
import { usageError } from '../cli-error.ts';
import type { Page } from '../client.ts';
import type { ExitCode } from '../output/exit-codes.ts';
import { addPageOptions, type PageOptions, pageQuery, printPage } from '../output/paging.ts';
import { moment, printable, table } from '../output/text.ts';
import { addWaitOptions, proposeContent, type WaitOptions } from './propose.ts';

/*
 * Stages on the command line: the history of activations, and promotion.
 */

type Activation = AnswerOf<'listActivations'>;

/** The option of a stage. */
export interface StageOption {
  stage?: string;
}

/** Adds `--stage`. */
export function addStageOption(command: Command, help: string): Command {
  return command.option('--stage <name>', help);
}

/** Activations, newest first. */
export function activations(
  { client }: Context,
  { stage, ...options }: StageOption & PageOptions,
): Promise<Page<Activation>> {
  return client.list<Activation>({
    path: '/v1/policy/activations',
    query: { ...pageQuery(options), stage },
    all: options.all === true,
  });
}

/** Activations as a table; their stage only if there are stages. */
export function renderActivations(items: readonly Activation[], columns: number | null): string {
  const isStaged = items.some(({ stage }) => stage !== null);
  return table(
    ['NUMBER', ...(isStaged ? ['STAGE'] : []), 'ACTIVATED', 'POLICY', 'REVISION', 'REQUEST'],
    items.map(({ number, stage, activated_ms, policy_hash, revision, request_id }) => [
      String(number),
      ...(isStaged ? [printable(stage ?? '')] : []),
      moment(activated_ms),
      policy_hash,
      printable(revision),
      request_id ?? 'an operator',
    ]),
    columns,
  );
}

interface PromoteOptions extends CommonOptions, WaitOptions {
  to: string;
  from?: string;
  activation?: number;
  reason: string;
  ticket?: string;
}

/** `policy history` and `policy promote`. */
export function registerStages(policy: Command, cli: Cli): void {
  const history = cli.command(
    policy,
    'history',
    'list who activated which policy where and when, who approved it, from which commit, and after which test',
  );
  addPageOptions(addStageOption(history, 'only of this stage')).action(
    (options: StageOption & CommonOptions & PageOptions) =>
      cli.run(options, async (context) =>
        printPage(context, await activations(context, options), renderHistory),
      ),
  );
  const promote = cli.command(
    policy,
    'promote',
    'propose that a stage decides by the module of the stage before it, with its own data; others approve',
  );
  addWaitOptions(
    promote
      .requiredOption('--to <stage>', 'the stage that gets the module')
      .option('--from <stage>', 'the stage before it, as a check')
      .option(
        '--activation <number>',
        'the activation to promote (default: the first with the module that is active there)',
        parseNumber,
      )
      .requiredOption('--reason <text>', 'the reason for the request')
      .option('--ticket <id>', 'the ticket reference'),
  ).action((options: PromoteOptions) => cli.run(options, (context) => propose(context, options)));
  promote.addHelpText(
    'after',
    '\nExample:\n  countersign policy promote --to production --reason "a week in staging"',
  );
}

async function propose(context: Context, options: PromoteOptions): Promise<ExitCode> {
  const { to, reason, ticket, activation } = options;
  const before = await stageBefore(context, options);
  const promotes = activation ?? (await firstWithModule(context, before));
  const body = {
    ...{ kind: 'policy.activate', stage: to, promotes, reason },
    ...(ticket === undefined ? {} : { ticket }),
  };
  return proposeContent(context, { body, ...options });
}

/** The stage before another one, by the map in the active data. */
async function stageBefore({ client }: Context, { to, from }: PromoteOptions): Promise<string> {
  const { body } = await client.call<AnswerOf<'getPolicyData'>>({ method: 'GET', path: '/v1/policy/data' });
  const stages = (body.data.config.stages ?? []) as { name: string }[];
  const names = stages.map(({ name }) => name);
  if (names.length === 0)
    throw usageError('The active policy has no stages: docs/stages.md says how to add them.');
  const at = names.indexOf(to);
  if (at < 0) {
    const more = `The stages are ${names.join(', ')}.`;
    throw usageError(unknownName({ what: 'stage', name: to, nearest: nearestOf(to, names), more }).message);
  }
  const before = names[at - 1];
  if (before === undefined) {
    throw usageError(
      `${to} is the first stage: propose a policy for it with "policy propose --stage ${to}".`,
    );
  }
  if (from !== undefined && from !== before)
    throw usageError(`The stage before ${to} is ${before}, not ${from}.`);
  return before;
}

/** The activation from which on a stage has the module that is active there now. */
async function firstWithModule(context: Context, stage: string): Promise<number> {
  const { items } = await activations(context, { stage, all: true });
  const [active] = items;
  if (active === undefined) {
    throw usageError(`Nothing was activated in ${stage} yet, so nothing can be promoted from it.`);
  }
  const other = items.findIndex(({ module }) => module !== active.module);
  return (items.at(other < 0 ? -1 : other - 1) ?? active).number;
}

function renderHistory(items: readonly Activation[], columns: number | null): string {
  return table(
    ['NUMBER', 'STAGE', 'ACTIVATED', 'POLICY', 'BY', 'APPROVED BY', 'FROM', 'AFTER'],
    items.map(({ number, stage, activated_ms, policy_hash, request_id, change }) => [
      String(number),
      printable(stage ?? ''),
      moment(activated_ms),
      policy_hash,
      printable(change?.proposed_by ?? (request_id === null ? 'an operator' : '')),
      printable(change?.approved_by.join(', ') ?? ''),
      printable(commitOf(change)),
      printable(testOf(change)),
    ]),
    columns,
  );
}

function commitOf(change: Activation['change']): string {
  const source = change?.bundle_source ?? change?.source ?? change?.promotes?.source;
  if (source === undefined) return '';
  return `${source.repository}${source.commit === null ? '' : `@${source.commit.slice(0, 12)}`}`;
}

function testOf(change: Activation['change']): string {
  const promotes = change?.promotes;
  if (promotes === undefined) return '';
  const { activation, stage, age_s, decisions } = promotes;
  return `${activation} in ${stage}: ${Math.floor(age_s / 3600)} hours, ${decisions} decisions`;
}

/** Parses the number of an activation. */
export function parseNumber(text: string): number {
  if (!/^[1-9]\d{0,14}$/.test(text)) throw usageError(`"${text}" is no number of an activation, such as 12.`);
  return Number(text);
}
