import type { AnswerOf } from '../../routes.ts';
import { renderDifference } from './render-difference.ts';
import { printable } from './text.ts';

type StoredReport = AnswerOf<'getPolicyReport'>;
type Report = StoredReport['report'];

/** The most lines of one part; `--json` has all. */
const MAX_LINES = 20;

/** What would change with a policy, for people. */
export function renderReport({ digest, report, measured }: StoredReport): string {
  const { cases, backtest, span, warnings, evaluation } = report;
  const failed = cases.failed.length + cases.not_shown;
  const slowest =
    measured.slowest === null
      ? ''
      : `, the slowest took ${measured.slowest.ms} ms (${measured.slowest.operation})`;
  return [
    `report   ${digest}`,
    ...(report.changes_nothing
      ? ['  no recorded decision, no access, no open request and no flag changes']
      : []),
    `  cases          ${cases.passed} passed${failed === 0 ? '' : `, ${failed} failed`}`,
    ...few(cases.failed.map(({ name, detail }) => `${name}: ${detail}`)),
    `  decisions      ${backtest.changed} of ${backtest.decisions} would change, in records ${span.from_place} to ${span.to_place}`,
    ...few(backtest.groups.map(describeGroup)),
    ...renderDifference(report).map((line) => `  ${line}`),
    ...(warnings.length === 0 ? [] : ['  advice']),
    ...few(warnings.map(({ pointer, detail }) => (pointer === '' ? detail : `${pointer}: ${detail}`))),
    `  time           ${evaluation.exceeded ? 'more' : 'less'} than ${evaluation.limit_ms} ms an evaluation${slowest}`,
  ].join('\n');
}

function few(lines: readonly string[]): string[] {
  const more = lines.length - MAX_LINES;
  return [
    ...lines.slice(0, MAX_LINES).map((line) => `    ${printable(line)}`),
    ...(more > 0 ? [`    and ${more} more; --json has all of them`] : []),
  ];
}

function describeGroup(group: Report['backtest']['groups'][number]): string {
  const { operation, environment, tier, from, to, decisions, examples, only_obligations } = group;
  const where = environment === null ? '' : ` in ${environment}`;
  const of = tier === null ? '' : `, ${tier}`;
  const what = only_obligations
    ? `${from.effect}, with other obligations`
    : `${from.effect} (${from.reasons.join(', ')}) becomes ${to.effect} (${to.reasons.join(', ')})`;
  return `${decisions} × ${operation}${where}${of}: ${what}, such as ${examples[0] ?? ''}`;
}
