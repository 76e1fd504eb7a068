import type { WriteContext } from '../decide/control.ts';
import type { InputRevocation } from '../policy/input.ts';
import { resolvePerson } from '../policy/persons.ts';
import { findPersonOf } from '../store/records.ts';
import { insertRevocation } from '../store/revocations.ts';
import type { RevocationsTable } from '../store/schema.ts';
import type { Db } from '../store/statement.ts';

/** What to revoke, and the cause of the revocation. */
export interface RevocationOrder extends InputRevocation {
  /** `incident`: a person; `logout` and `provisioning`: an identity provider; `holder`: the holder of the token. */
  cause: 'incident' | 'logout' | 'provisioning' | 'holder';
  /** When everything that it revokes has expired; null: it is in force until it is lifted. */
  expires_ms: number | null;
  /** The subject's state at the identity provider; null or absent if the provider gave none. */
  person_state?: 'disabled' | 'deleted' | null;
}

/**
 * Adds a revocation. After the commit of this write, every broker refuses every call that it hits. The decision that
 * allows it MUST be recorded in the same write.
 */
export async function addRevocation(
  writing: WriteContext,
  order: RevocationOrder,
): Promise<RevocationsTable> {
  const row = await draftRevocation(writing.tx, writing, order);
  await insertRevocation(writing.tx, row);
  writing.afterCommit(writing.deps.events.revocationsChanged);
  return row;
}

/** The revocation in the form in which it would be stored. */
export async function draftRevocation(
  db: Db,
  { call, now_ms, deps, policy }: Pick<WriteContext, 'call' | 'now_ms' | 'deps' | 'policy'>,
  order: RevocationOrder,
): Promise<RevocationsTable> {
  const { kind, value, issued_before_ms, incident, reason, cause, expires_ms, person_state = null } = order;
  const { id, person } = call.principal;
  const behind = kind === 'subject' ? await findPersonOf(db, value) : null;
  return {
    id: deps.newId(now_ms),
    kind,
    value,
    issued_before_ms,
    incident,
    reason,
    cause,
    expires_ms,
    created_by: JSON.stringify({ id, person }),
    created_ms: now_ms,
    lifted_ms: null,
    lifted_by: null,
    person: behind === null ? null : resolvePerson(policy, behind),
    returned_ms: null,
    person_state,
  };
}
