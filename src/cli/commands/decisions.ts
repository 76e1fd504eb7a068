import { type Command, Option } from 'commander';
import type { DecisionRecord } from '../../log/details.ts';
import { BROKER_EVENTS, OPERATIONS, OPERATOR_ACTS, RECORDED_NAMES } from '../../operations.ts';
import type { Cli, CommonOptions } from '../cli.ts';
import { EXIT } from '../output/exit-codes.ts';
import { operationsHelp } from '../output/operations-help.ts';
import { addPageOptions, type PageOptions, pageQuery, printPage } from '../output/paging.ts';
import { jsonText, moment, pathSegment, table } from '../output/text.ts';
import { MOMENT_HELP, parseMoment } from '../parse-moment.ts';
import { fullId } from '../short-id.ts';

interface DecisionsOptions extends CommonOptions, PageOptions {
  flag?: string;
  environment?: string;
  principal?: string;
  operation?: string;
  outcome?: string;
  request?: string;
  /** Epoch milliseconds. */
  from?: number;
  /** Epoch milliseconds. */
  to?: number;
}

/** `decisions`: the decision log. Reading it is itself recorded. */
export function registerDecisions(program: Command, cli: Cli): void {
  const decisions = cli
    .command(program, 'decisions [id]', 'list the decision log, newest first, or show one decision in full')
    .option('--flag <key>', 'only about this flag')
    .option('--environment <key>', 'only about this environment')
    .option('--principal <id>', 'only by this principal or person')
    .option('--operation <name>', 'only this operation, such as request.approve')
    .addOption(
      new Option('--outcome <effect>', 'only what was answered so').choices(['allow', 'hold', 'deny']),
    )
    .option('--request <id>', 'only about this request')
    .option('--from <moment>', `not before: ${MOMENT_HELP}`, (text: string) => parseMoment('--from', text))
    .option('--to <moment>', `before: ${MOMENT_HELP}`, (text: string) => parseMoment('--to', text))
    .addHelpText(
      'after',
      operationsHelp(RECORDED_NAMES, { ...OPERATIONS, ...OPERATOR_ACTS, ...BROKER_EVENTS }),
    );
  addPageOptions(decisions).action((id: string | undefined, options: DecisionsOptions) =>
    cli.run(options, async (context) => {
      if (id !== undefined) {
        const path = `/v1/decisions/${pathSegment(await fullId(context, 'decision', id))}`;
        const { body } = await context.client.call<DecisionRecord>({ method: 'GET', path });
        // Evidence is shown in full, so people get JSON too.
        context.print(body, () => jsonText(body));
        return EXIT.done;
      }
      const { flag, environment, principal, operation, outcome, from, to } = options;
      const request =
        options.request === undefined ? undefined : await fullId(context, 'request', options.request);
      const page = await context.client.list<DecisionRecord>({
        path: '/v1/decisions',
        query: {
          ...{ flag, environment, principal, operation, outcome, request },
          from: from?.toString(),
          to: to?.toString(),
          ...pageQuery(options),
        },
        all: options.all === true,
      });
      return printPage(context, page, (items, columns) =>
        table(['TIME', 'OUTCOME', 'OPERATION', 'PRINCIPAL', 'WHERE', 'ID', 'WHY'], items.map(toRow), columns),
      );
    }),
  );
}

function toRow(record: DecisionRecord): string[] {
  const { effect, reasons } = record.outcome;
  return [
    moment(record.at_ms),
    effect,
    record.operation,
    record.principal.id,
    record.environment ?? '-',
    record.id,
    reasons.map(({ code }) => code).join(', '),
  ];
}
