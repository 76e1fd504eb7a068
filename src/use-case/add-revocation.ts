import type { InputRevocation } from '../policy/input.ts';
import { insertRevocation } from '../store/revocations.ts';
import type { RevocationsTable } from '../store/schema.ts';
import type { Writing } from './use-case.ts';

/** What is to be revoked, and by which road it came. */
export interface RevocationOrder extends InputRevocation {
  /** `incident` by a person; `logout` and `provisioning` by an identity provider; `holder` by who held the token. */
  cause: 'incident' | 'logout' | 'provisioning' | 'holder';
  /** From then on nothing that it revokes could be valid anyway; null: it holds until it is lifted. */
  expires_ms: number | null;
}

/**
 * Adds a revocation. From the commit of this write on, every request that it hits is refused, on every broker. The
 * decision that allows it MUST be recorded in the same write.
 */
export async function addRevocation(writing: Writing, order: RevocationOrder): Promise<RevocationsTable> {
  const { id, person } = writing.call.principal;
  const row: RevocationsTable = {
    ...order,
    id: writing.deps.newId(writing.now_ms),
    created_by: JSON.stringify({ id, person }),
    created_ms: writing.now_ms,
    lifted_ms: null,
    lifted_by: null,
  };
  await insertRevocation(writing.tx, row);
  writing.afterCommit(writing.deps.events.revocationsChanged);
  return row;
}
