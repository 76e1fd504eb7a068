import { inWords } from '../moment.ts';
import type { InputRevocation } from '../policy/input.ts';
import type { RevocationsTable } from '../store/schema.ts';

/** A revocation in the policy's input. */
export function toInputRevocation(row: RevocationsTable): InputRevocation & { id: string } {
  return {
    id: row.id,
    kind: row.kind as InputRevocation['kind'],
    value: row.value,
    issued_before_ms: row.issued_before_ms,
    incident: row.incident,
    reason: row.reason,
  };
}

/** Describes what a revocation revokes. */
export function describeRevocation({
  kind,
  value,
  issued_before_ms,
}: Pick<InputRevocation, 'kind' | 'value' | 'issued_before_ms'>): string {
  const before = issued_before_ms === null ? '' : `, issued before ${inWords('UTC', issued_before_ms)}`;
  return `${kind.replace('_', ' ')} ${value}${before}`;
}
