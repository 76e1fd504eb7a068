import { describeRight } from '../../activation/checks/access-view.ts';
import type { AnswerOf } from '../../routes.ts';
import { renderNext } from './render-difference.ts';
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
    ...accessLines(report),
    ...openRequestLines(report),
    ...flagLines(report),
    ...renderNext(report.next_activation).map((line) => `  ${line}`),
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

function accessLines({ access }: Report): string[] {
  if (access === undefined) return [];
  const { gained, lost, trust_rules, persons, notes } = access;
  const lines = (side: typeof gained) => [
    ...side.principals.map(({ names, count, rights }) => {
      const who =
        names.length < count ? `${names.join(', ')} and ${count - names.length} more` : names.join(', ');
      return `${who}: ${rights.map(describeRight).join('; ')}`;
    }),
    ...side.bindings.map(
      ({ by, key, holders, rights }) =>
        `${by} ${key} (held by ${holders}): ${rights.map(describeRight).join('; ')}`,
    ),
  ];
  const sides = [
    ['gained', lines(gained)],
    ['lost', lines(lost)],
    ['trust rules', trust_rules.map(({ rule, change }) => `${rule} is ${change}`)],
    ['persons', persons.map(({ change, names }) => `${names.join(', ')} are ${change}`)],
    ['not compared', notes.map(({ detail }) => detail)],
  ] as const;
  const shown = sides.filter(([, of]) => of.length > 0);
  if (shown.length === 0) return ['  access         nobody gains or loses any'];
  return ['  access', ...shown.flatMap(([name, of]) => [`   ${name}`, ...few(of)])];
}

function openRequestLines({ open_requests }: Report): string[] {
  if (open_requests === undefined) return [];
  const lines = open_requests.lines.map(({ kind, environment, change, count, after, requests }) => {
    const where = environment === null ? '' : ` in ${environment}`;
    return `${count} × ${kind}${where}: ${inWords(change, after)}, such as ${requests[0]?.id ?? ''}`;
  });
  return lines.length === 0
    ? ['  open requests  none would be decided otherwise']
    : ['  open requests', ...few(lines)];
}

function flagLines({ flags }: Report): string[] {
  if (flags === undefined) return [];
  const lines = flags.lines.map(
    ({ environment, tier, namespace, movement, change, after, flags: count, names }) => {
      const what = movement === 'raise' ? 'to switch it on for everybody' : 'to switch it off';
      return `${count} ${tier} flags of ${namespace} in ${environment}, ${what}: ${inWords(change, after)}, such as ${names[0] ?? ''}`;
    },
  );
  return lines.length === 0
    ? ['  flags          none would require anything else']
    : ['  flags', ...few(lines)];
}

type Line = NonNullable<Report['open_requests']>['lines'][number];

function inWords(change: Line['change'], { needs, reasons }: Line['after']): string {
  switch (change) {
    case 'allowed':
      return 'needs nothing any more';
    case 'held':
    case 'held_differently':
      return `then needs ${needs.join(' and ')}`;
    case 'denied':
      return `is then denied (${reasons.join(', ')})`;
  }
}
