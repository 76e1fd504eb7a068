import type { Command } from 'commander';
import type { EvaluationCountView } from '../../audit/evaluation-routes.ts';
import type { Cli, CommonOptions } from '../cli.ts';
import { addPageOptions, type PageOptions, pageQuery, printPage } from '../output/paging.ts';
import { moment, table } from '../output/text.ts';
import { MOMENT_HELP, parseMoment } from '../parse-moment.ts';

interface EvaluationsOptions extends CommonOptions, PageOptions {
  flag?: string;
  environment?: string;
  workload?: string;
  /** Epoch milliseconds. */
  from?: number;
  /** Epoch milliseconds. */
  to?: number;
}

/** `audit evaluations`: who evaluated which flag. Reading it is itself recorded. */
export function registerEvaluations(audit: Command, cli: Cli): void {
  const evaluations = cli
    .command(audit, 'evaluations', 'list who evaluated which flag, counted per interval, newest first')
    .option('--flag <key>', 'only of this flag')
    .option('--environment <key>', 'only in this environment')
    .option('--workload <id>', 'only by this principal')
    .option('--from <moment>', `not before: ${MOMENT_HELP}`, (text: string) => parseMoment('--from', text))
    .option('--to <moment>', `before: ${MOMENT_HELP}`, (text: string) => parseMoment('--to', text))
    .addHelpText(
      'after',
      `
Examples:
  countersign audit evaluations --flag checkout.instant-refunds --environment production
  countersign audit evaluations --workload workload:checkout:service --from 2026-11-01 --all --json

A row is one principal, flag and variant in one interval. The record at its place has the digest of the rows.`,
    );
  addPageOptions(evaluations).action((options: EvaluationsOptions) =>
    cli.run(options, async (context) => {
      const { flag, environment, workload, from, to } = options;
      const page = await context.client.list<EvaluationCountView>({
        path: '/v1/evaluations',
        query: {
          ...{ flag, environment, workload },
          from: from?.toString(),
          to: to?.toString(),
          ...pageQuery(options),
        },
        all: options.all === true,
      });
      return printPage(context, page, (items, columns) =>
        table(
          ['FIRST', 'LAST', 'COUNT', 'ENVIRONMENT', 'FLAG', 'VARIANT', 'WORKLOAD', 'PLACE'],
          items.map(toRow),
          columns,
        ),
      );
    }),
  );
}

function toRow(row: EvaluationCountView): string[] {
  const { first_ms, last_ms, count, environment, flag, variant, workload, pseudonym, place } = row;
  const who = workload ?? (pseudonym === null ? 'others' : `erased (${pseudonym})`);
  return [
    moment(first_ms),
    moment(last_ms),
    String(count),
    environment,
    flag ?? (pseudonym === null ? 'others' : 'definitions'),
    variant ?? '-',
    who,
    String(place),
  ];
}
