import type { InputRevocation } from '../policy/input.ts';
import type { RevocationsTable } from '../store/schema.ts';
import { toInputRevocation } from './input-revocation.ts';

/** A revocation in an answer. All times are epoch milliseconds. */
export interface RevocationView extends InputRevocation {
  id: string;
  /** `incident`, `logout`, `provisioning` or `holder`. */
  cause: string;
  created_by: { id: string; person: string | null };
  created_ms: number;
  /** When everything that it revokes has expired; null: it is in force until it is lifted. */
  expires_ms: number | null;
  /** When the logged-out person returned; null otherwise. */
  returned_ms: number | null;
  lifted_ms: number | null;
  /** What lifted it: a principal, a change request, or a later revocation. */
  lifted_by: Record<string, unknown> | null;
}

/** Converts a revocation row to its answer. */
export function toRevocationView(row: RevocationsTable): RevocationView {
  return {
    ...toInputRevocation(row),
    cause: row.cause,
    created_by: JSON.parse(row.created_by) as RevocationView['created_by'],
    created_ms: row.created_ms,
    expires_ms: row.expires_ms,
    returned_ms: row.returned_ms,
    lifted_ms: row.lifted_ms,
    lifted_by: row.lifted_by === null ? null : (JSON.parse(row.lifted_by) as Record<string, unknown>),
  };
}
