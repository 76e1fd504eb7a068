import type { RequestsTable } from '../../src/store/schema.ts';

/** The row of a request that nothing else is known of. */
export function requestRow(id: string, due_ms: number | null = null): RequestsTable {
  return {
    ...{ id, kind: 'flag.change', environment: null, state: 'pending', proposer_id: 'p', proposer: '{}' },
    ...{
      revision: 1,
      digest: 'd',
      content: '{}',
      plan: '{}',
      decision_id: 'x',
      held_by: null,
      due_ms,
      gate: null,
      owner: null,
      demands: null,
    },
    ...{ created_ms: 1, updated_ms: 1, expires_ms: 1, authors: '[]', standing: '{}' },
  };
}
