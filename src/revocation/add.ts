import type { WriteContext } from '../decide/control.ts';
import type { InputRevocation } from '../policy/input.ts';
import { resolvePerson } from '../policy/persons.ts';
import { findPersonOf } from '../store/records.ts';
import { insertRevocation } from '../store/revocations.ts';
import type { RevocationsTable } from '../store/schema.ts';
import type { Db } from '../store/statement.ts';

/** What is to be revoked, and by which road it came. */
export interface RevocationOrder extends InputRevocation {
  /** `incident` by a person; `logout` and `provisioning` by an identity provider; `holder` by who held the token. */
  cause: 'incident' | 'logout' | 'provisioning' | 'holder';
  /** From then on nothing that it revokes could be valid anyway; null: it holds until it is lifted. */
  expires_ms: number | null;
  /** How the identity provider says that the subject stands; null or left out where it says nothing. */
  person_state?: 'disabled' | 'deleted' | null;
}

/**
 * Adds a revocation. From the commit of this write on, every request that it hits is refused, on every broker. The
 * decision that allows it MUST be recorded in the same write.
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

/** The revocation as it would be stored. */
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
