import { type Command, Option } from 'commander';
import type { ExplanationView } from '../../explain/view.ts';
import { addChangeOptions, type ChangeOptions } from '../changes.ts';
import type { Cli, CommonOptions, Context } from '../cli.ts';
import { CliError, usageError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../output/exit-codes.ts';
import { renderExplanation } from '../output/render-explanation.ts';
import { fullIdOfEither } from '../short-id.ts';

interface WhatIfOptions extends CommonOptions {
  as?: string;
  issuer?: string;
  environment?: string;
  namespace?: string;
  flag?: string;
  action?: string;
  ticket?: string;
  operation?: string;
}

/** The actions that need nothing but a flag. */
const ACTIONS = ['enable', 'disable', 'retire'] as const;

/** `explain` and `what-if`: why the policy answers so, and what would change it. */
export function registerExplain(program: Command, cli: Cli): void {
  cli
    .command(
      program,
      'explain <id>',
      'explain what an open request waits for, or why a recorded decision came out as it did',
    )
    .addHelpText(
      'after',
      `
Example:
  countersign explain 0197f3a0-7c1e-7000-8000-000000000001

Persons who could help are named to whoever may read access (access.read).`,
    )
    .action((id: string, options: CommonOptions) =>
      cli.run(options, async (context) =>
        answer(context, await explainId(context, await fullIdOfEither(context, ['request', 'decision'], id))),
      ),
    );

  const whatIf = cli
    .command(
      program,
      'what-if',
      'ask what the policy would say to a change or an operation, without proposing it',
    )
    .option(
      '--as <who>',
      'as a known principal or person, or as group:NAME,group:NAME (requires access.read)',
    )
    .option('--issuer <url>', 'with groups: the issuer of the groups (default: your own)')
    .option('--environment <key>', 'the environment')
    .option('--flag <key>', 'the flag, together with --action')
    .addOption(new Option('--action <name>', 'what to do with the flag').choices(ACTIONS))
    .option('--ticket <id>', 'the ticket reference')
    .option('--operation <name>', 'ask about an operation without a change, such as decision.read')
    .option('--namespace <name>', 'with --operation: in this namespace');
  const changes = addChangeOptions(whatIf);
  whatIf
    .addHelpText(
      'after',
      `
Examples:
  countersign what-if --flag new-nav --action enable --environment production
  countersign what-if --as emp-1002 --enable new-nav --environment production
  countersign what-if --as group:payments-developers --operation freeze.read --environment staging`,
    )
    .action((options: WhatIfOptions) =>
      cli.run(options, async (context) => {
        const what_if = { ...asOf(options), ...(await askedOf(context, changes, options)) };
        return answer(context, await explain(context, { what_if }));
      }),
    );
}

function answer(context: Context, explanation: ExplanationView): ExitCode {
  context.print(explanation, () => renderExplanation(explanation, context));
  return EXIT.done;
}

async function explain({ client }: Context, body: object): Promise<ExplanationView> {
  return (await client.call<ExplanationView>({ method: 'POST', path: '/v1/policy/explain', body })).body;
}

/** Requests and decisions have ids of the same form; most people may read requests only. */
async function explainId(context: Context, id: string): Promise<ExplanationView> {
  try {
    return await explain(context, { request: id });
  } catch (error) {
    const isNoRequest =
      error instanceof CliError && ['not_found', 'invalid_request'].includes(error.problem.code);
    if (!isNoRequest) throw error;
    return explain(context, { decision: id });
  }
}

function asOf({ as, issuer }: WhatIfOptions): object {
  if (as === undefined) return {};
  const words = as.split(',');
  const groups = words.flatMap((word) => (word.startsWith('group:') ? [word.slice('group:'.length)] : []));
  if (groups.length === 0) return { as: { principal: as } };
  if (groups.length < words.length) throw usageError('--as names one principal or person, or groups only.');
  return { as: { groups, ...(issuer === undefined ? {} : { issuer }) } };
}

async function askedOf(context: Context, options: ChangeOptions, asked: WhatIfOptions): Promise<object> {
  const { environment, namespace, flag, action, ticket, operation } = asked;
  if ((flag === undefined) !== (action === undefined))
    throw usageError('--flag and --action belong together.');
  const { changes, rest } = await options.load(context.io);
  if (flag !== undefined) changes.push({ action, flag });
  if (operation !== undefined) {
    if (changes.length > 0) throw usageError('Ask about a change or about an --operation, not both.');
    return {
      operation,
      ...(environment === undefined ? {} : { environment }),
      ...(namespace === undefined ? {} : { namespace }),
    };
  }
  const isOther = rest.kind !== undefined && rest.kind !== 'flag.change';
  if (changes.length === 0 && !isOther) {
    throw usageError(
      'Specify what to ask about: --flag FLAG --action enable, a change as for propose, or --operation.',
    );
  }
  const content: Record<string, unknown> = {
    reason: 'what-if',
    ...rest,
    ...(environment === undefined ? {} : { environment }),
    ...(ticket === undefined ? {} : { ticket }),
    ...(changes.length === 0 ? {} : { changes }),
  };
  if (!isOther && content.environment === undefined) {
    throw usageError('Specify the environment with --environment KEY.');
  }
  return { content };
}
