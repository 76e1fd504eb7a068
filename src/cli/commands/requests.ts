import { type Command, Option } from 'commander';
import { KIND_NAMES } from '../../requests/kinds/names.ts';
import { isOpen } from '../../requests/states.ts';
import type { RequestView } from '../../requests/view.ts';
import type { AnswerOf } from '../../routes.ts';
import type { Cli, CommonOptions, Context } from '../cli.ts';
import { CliError, usageError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../output/exit-codes.ts';
import { addPageOptions, type PageOptions, pageQuery, printPage } from '../output/paging.ts';
import { renderRequest } from '../output/render.ts';
import { renderReport } from '../output/render-report.ts';
import { answerDone, answerRequest } from '../output/result.ts';
import { moment, pathSegment, table } from '../output/text.ts';
import { MOMENT_HELP, parseMoment } from '../parse-moment.ts';
import { fullId } from '../short-id.ts';
import { callWithDigest, readRequest } from './propose.ts';

interface ListOptions extends CommonOptions, PageOptions {
  state?: string;
  kind?: string;
  environment?: string;
  flag?: string;
  proposer?: string;
}

/** `show`, `list`, `apply`, `withdraw`, `rebase` and `schedule`. */
export function registerRequests(program: Command, cli: Cli): void {
  cli.command(program, 'show <id>', 'show a request in full').action((id: string, options: CommonOptions) =>
    cli.run(options, async (context) => {
      const request = await readRequest(context, await fullId(context, 'request', id));
      const report = await reportOf(context, request);
      context.print(request, () =>
        [renderRequest(request, context.commandLine), ...report.map(renderReport)].join('\n\n'),
      );
      return request.state === 'conflicted' ? EXIT.conflict : EXIT.done;
    }),
  );
  registerList(program, cli);
  cli
    .command(program, 'apply <id>', 'apply a request that is ready')
    .action((id: string, options: CommonOptions) =>
      cli.run(options, async (context) => applyRequest(context, await fullId(context, 'request', id))),
    );
  cli.command(program, 'withdraw <id>', 'withdraw a request').action((id: string, options: CommonOptions) =>
    cli.run(options, async (context) => {
      const path = `${pathOf(await fullId(context, 'request', id))}/withdraw`;
      return answerDone(context, await context.client.call<RequestView>({ method: 'POST', path }));
    }),
  );
  cli
    .command(program, 'rebase <id>', 'base a request on the current state of the flags; voids its approvals')
    .action((id: string, options: CommonOptions) =>
      cli.run(options, async (context) => {
        const path = `${pathOf(await fullId(context, 'request', id))}/rebase`;
        return answerRequest(context, await callWithDigest(context, { method: 'POST', path }));
      }),
    );
  cli
    .command(program, 'schedule <id>', 'set the earliest time at which a request is applied')
    .option('--start <moment>', `the earliest time: ${MOMENT_HELP}, or next_window`, parseStart)
    .addOption(new Option('--at <moment>', 'the former name of --start').argParser(parseStart).hideHelp())
    .action((id: string, options: CommonOptions & { start?: Start; at?: Start }) =>
      cli.run(options, async (context) => {
        const at = options.start ?? options.at;
        if (at === undefined)
          throw usageError('Specify the earliest time with --start MOMENT, or --start next_window.');
        const path = `${pathOf(await fullId(context, 'request', id))}/schedule`;
        const call = { method: 'POST', path, body: { at } } as const;
        return answerDone(context, await callWithDigest(context, call));
      }),
    );
}

/** The report that the request is based on, if it activates a policy and the caller may see it. For people only. */
async function reportOf(
  { client, json }: Context,
  { bases }: RequestView,
): Promise<AnswerOf<'getPolicyReport'>[]> {
  const digest = bases.find(({ of }) => of.startsWith('report:'))?.of.slice('report:'.length);
  if (digest === undefined || json) return [];
  try {
    const path = `/v1/policy/reports/${pathSegment(digest)}`;
    return [(await client.call<AnswerOf<'getPolicyReport'>>({ method: 'GET', path })).body];
  } catch (error) {
    // The request is shown without it.
    if (error instanceof CliError) return [];
    throw error;
  }
}

/** Epoch milliseconds, or as soon as a window opens. */
type Start = number | 'next_window';

function parseStart(text: string): Start {
  return text === 'next_window' ? text : parseMoment('--start', text, 'next_window');
}

function registerList(program: Command, cli: Cli): void {
  const list = cli
    .command(program, 'list', 'list requests, newest first')
    .option('--state <state>', 'only these states, separated by commas, or open')
    .addOption(new Option('--kind <kind>', 'only this kind of request').choices(KIND_NAMES))
    .option('--environment <key>', 'only in this environment')
    .option('--flag <key>', 'only requests that affect this flag')
    .option('--proposer <id>', 'only by this principal');
  addPageOptions(list).action((options: ListOptions) =>
    cli.run(options, async (context) => {
      const { state, kind, environment, flag, proposer } = options;
      const query = { state, kind, environment, flag, proposer, ...pageQuery(options) };
      const page = await context.client.list<RequestView>({
        path: '/v1/requests',
        query,
        all: options.all === true,
      });
      return printPage(context, page, (items, columns) =>
        table(['ID', 'STATE', 'ENVIRONMENT', 'CREATED', 'PROPOSER', 'WHAT'], items.map(toRow), columns),
      );
    }),
  );
}

function toRow(request: RequestView): string[] {
  const what = describeWhat(request);
  return [request.id, request.state, placeOf(request), moment(request.created_ms), request.proposer.id, what];
}

/** A definition is the same in every environment. */
function placeOf({ changes, environment }: RequestView): string {
  const isOfDefinitions = changes.length > 0 && changes.every(({ facts }) => facts.scope === 'definition');
  return isOfDefinitions ? 'every' : (environment ?? '-');
}

function describeWhat({ changes, summary }: RequestView): string {
  if (summary !== null) return summary;
  return changes.map(({ action, flag }) => `${action} ${flag.key}`).join(', ');
}

/** Applies a request. A request that still waits is not a denial: the missing gates are printed. */
async function applyRequest(context: Context, id: string): Promise<ExitCode> {
  try {
    const path = `${pathOf(id)}/apply`;
    return answerRequest(context, await context.client.call<RequestView>({ method: 'POST', path }));
  } catch (error) {
    if (!(error instanceof CliError) || error.exitCode !== EXIT.denied || !error.problem.decision_id)
      throw error;
    const request = await readRequest(context, id);
    if (request.standing.effect !== 'hold' || !isOpen(request)) throw error;
    return answerRequest(context, { body: request });
  }
}

function pathOf(id: string): string {
  return `/v1/requests/${pathSegment(id)}`;
}
