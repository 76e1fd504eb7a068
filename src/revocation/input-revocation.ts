import type { InputRevocation } from '../policy/input.ts';
import type { RevocationsTable } from '../store/schema.ts';

/** A revocation as policy sees it. */
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
