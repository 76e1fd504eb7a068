import type { OperationList } from '../../../src/operations.ts';
import { markdownTable } from './markdown.ts';

const KINDS: Readonly<Record<string, string>> = {
  person: 'persons',
  workload: 'workloads',
  agent: 'agents',
  broker: 'the broker',
};

/** The table of operations in docs/policy-reference.md. */
export function operationsTable(operations: OperationList): string {
  const rows = Object.entries(operations).map(([name, row]) => {
    const { says, by, never, at, audiences, recorded, under_freeze, formerly } = row;
    const cells = [
      `\`${name}\`${formerly === null ? '' : ` (formerly \`${formerly}\`)`}`,
      says,
      plural(by),
      plural(never) || '-',
      at,
      audiences.join(', ') || 'any',
      recorded,
      under_freeze.replace('_', ' '),
    ];
    return cells;
  });
  return markdownTable(
    [
      'operation',
      'purpose',
      'open to',
      'never to',
      'role required',
      'audience',
      'recorded',
      'under a freeze',
    ],
    rows,
  );
}

/** The operations that show a capability. */
export function shownBy(operations: OperationList, capability: string): string[] {
  return Object.entries(operations).flatMap(([name, row]) =>
    row.shows && row.capability === capability ? [name] : [],
  );
}

function plural(kinds: readonly string[]): string {
  return kinds.map((kind) => KINDS[kind] ?? kind).join(', ');
}
