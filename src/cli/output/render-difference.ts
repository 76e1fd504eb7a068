import type { AnswerOf } from '../../routes.ts';
import { moment, printable, printableJson } from './text.ts';

/*
 * The report of a candidate policy as text for people: who gains and who loses what, what becomes of open requests and of
 * existing flags, and who could make the next activation.
 */

type Report = AnswerOf<'getPolicyReport'>['report'];
type Access = NonNullable<Report['access']>;
type Right = Access['gained']['principals'][number]['rights'][number];
type Requirement = NonNullable<Report['flags']>['lines'][number]['before'];

/** One place in the data that differs. */
export interface DataLine {
  path: string;
  before?: unknown;
  after?: unknown;
}

/** The rows of data that differ, each with what it was and what it becomes. */
export function renderData(differences: readonly DataLine[]): string[] {
  if (differences.length === 0) return ['data: no difference'];
  return [
    'data',
    ...differences.flatMap((line) => [
      `  ${printable(line.path)}`,
      ...('before' in line ? [`    - ${printableJson(line.before)}`] : []),
      ...('after' in line ? [`    + ${printableJson(line.after)}`] : []),
    ]),
  ];
}

/** What a report says of access, open requests, flags and the next activation. */
export function renderDifference(report: Report): string[] {
  return [
    ...renderAccess(report.access),
    ...renderOpenRequests(report.open_requests),
    ...renderFlags(report.flags),
    ...renderNext(report.next_activation),
  ];
}

function renderAccess(access: Access | undefined): string[] {
  if (access === undefined) return ['access: you may not read who has access'];
  const sections = [
    ...renderSide('access gained', access.gained, 'may'),
    ...renderSide('access lost', access.lost, 'may no longer'),
    ...access.trust_rules.map(
      ({ rule, change, members }) =>
        `trust rule ${printable(rule)}: ${change}${change === 'changed' ? ` in ${members.join(', ')}` : ''}`,
    ),
    ...access.persons.map(({ change, names }) =>
      change === 'merged'
        ? `one person from now on: ${names.map(printable).join(', ')}`
        : `several persons from now on, who may approve what each other wrote: ${names.map(printable).join(', ')}`,
    ),
    ...access.notes.map(({ detail }) => `note: ${printable(detail)}`),
  ];
  return sections.length === 0 ? ['access: no difference'] : sections;
}

function renderSide(title: string, side: Access['gained'], may: string): string[] {
  const { principals, bindings, left_out } = side;
  // What a binding gives is said of its holders; alone it is said of those whom nobody knows yet.
  const unheld = bindings.filter(({ holders }) => holders === 0);
  if (principals.length + unheld.length + left_out === 0) return [];
  return [
    title,
    ...principals.flatMap(({ names, count, by, rights }) => [
      `  ${named(names, count)} ${may}${by.length === 0 ? '' : ` (by ${by.map(describeSource).join(', ')})`}`,
      ...describeRights(rights),
    ]),
    ...unheld.flatMap(({ rights, ...source }) => [
      `  ${describeSource(source)}, which nobody known has: ${may}`,
      ...describeRights(rights),
    ]),
    ...(left_out === 0 ? [] : [`  ${left_out} more lines are not shown`]),
  ];
}

function named(names: readonly string[], count: number): string {
  const shown = names.slice(0, 10).map(printable).join(', ');
  return count > 10 ? `${shown} and ${count - 10} more` : shown;
}

function describeSource({ by, key }: { by: string; key: string }): string {
  return printable(`${by.replace('_', ' ')} ${key}`);
}

/** Operations that are granted in the same places share a line. */
function describeRights(rights: readonly Right[]): string[] {
  const alike = Map.groupBy(rights, ({ operation: _, ...rest }) => JSON.stringify(rest));
  return [...alike.values()].map((same) => `    ${describeRight(same)}`);
}

function describeRight(same: readonly Right[]): string {
  const operations = same.map(({ operation }) => operation).join(', ');
  const { about = [], environments = [], namespaces = [], except = [] } = same[0] ?? {};
  const of = about.length === 0 ? '' : ` (${about.join(', ')})`;
  if (environments.length === 0) return `${operations}${of}`;
  const but = except.length === 0 ? '' : ` but ${except.join(', ')}`;
  const inside = namespaces.includes('*') ? `every namespace${but}` : namespaces.join(', ');
  return `${operations}${of} in ${environments.join(', ')}; ${inside}`;
}

const CHANGES: Readonly<Record<string, string>> = {
  allowed: 'would be allowed',
  held: 'would be held',
  held_differently: 'would be held differently',
  denied: 'would be denied',
};

function renderOpenRequests(diff: Report['open_requests']): string[] {
  if (diff === undefined) return [];
  if (diff.lines.length === 0) return ['open requests: no difference'];
  return [
    'open requests',
    ...diff.lines.flatMap(({ kind, environment, change, count, requests, before, after }) => [
      `  ${count} ${kind}${environment === null ? '' : ` in ${environment}`} ${CHANGES[change]}: ${becomes(before, after)}`,
      ...requests
        .slice(0, 10)
        .map(
          ({ id, flags }) => `    ${id}${flags.length === 0 ? '' : `  ${flags.map(printable).join(', ')}`}`,
        ),
    ]),
  ];
}

function renderFlags(diff: Report['flags']): string[] {
  if (diff === undefined) return [];
  if (diff.lines.length === 0) return ['flags: no difference'];
  return [
    'flags',
    ...diff.lines.map(({ environment, tier, namespace, movement, change, flags, names, before, after }) => {
      const what = movement === 'raise' ? 'switching on' : 'switching off';
      const some = flags > names.length ? `${names.join(', ')}, …` : names.join(', ');
      return `  ${what} ${flags} ${tier} in ${environment}, ${namespace} (${some}) ${CHANGES[change]}: ${becomes(before, after)}`;
    }),
  ];
}

function becomes(before: Requirement, after: Requirement): string {
  return `${describeRequirement(before)} -> ${describeRequirement(after)}`;
}

function describeRequirement({ effect, needs, reasons }: Requirement): string {
  if (effect === 'deny') return `denied (${reasons.map(printable).join(', ')})`;
  return effect === 'allow' || needs.length === 0 ? 'nothing missing' : needs.map(printable).join(' and ');
}

/** Who could make the next activation. */
function renderNext(next: Report['next_activation']): string[] {
  if (next === undefined) return [];
  const { nobody, proposers, approvers, approvals, earliest_ms, warnings } = next;
  const notes = warnings.map(({ detail }) => `warning: ${printable(detail)}`);
  if (nobody !== null) {
    const opens = nobody.opens_ms === null ? '' : `; it opens at ${moment(nobody.opens_ms)}`;
    return [`next activation: nobody could make it${opens}`, ...notes];
  }
  return [
    `next activation: ${approvals} ${approvals === 1 ? 'approval' : 'approvals'}${earliest_ms === null ? '' : `, from ${moment(earliest_ms)} on`}`,
    `  proposed by ${proposers.map(printable).join(', ')}`,
    `  approved by ${approvers.map(printable).join(', ') || 'nobody'}`,
    ...notes,
  ];
}
