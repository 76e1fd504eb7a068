import type { InputRevocation } from '../policy/input.ts';
import type { RevocationsTable } from '../store/schema.ts';
import { toInputRevocation } from './input-revocation.ts';

/** A revocation as it is shown. All times are epoch milliseconds. */
export interface RevocationView extends InputRevocation {
  id: string;
  /** `incident`, `logout`, `provisioning` or `holder`. */
  cause: string;
  created_by: { id: string; person: string | null };
  created_ms: number;
  /** From then on nothing that it revokes could be valid anyway; null: it holds until it is lifted. */
  expires_ms: number | null;
  /** When who was logged out came back; null otherwise. */
  returned_ms: number | null;
  lifted_ms: number | null;
  /** Who lifted it: a principal, a change request, or a later revocation. */
  lifted_by: Record<string, unknown> | null;
}

/** A revocation row as it is shown. */
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
