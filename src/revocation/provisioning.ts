import { authorize } from '../decide/authorize.ts';
import type { WriteContext } from '../decide/control.ts';
import { Refused } from '../decide/refused.ts';
import { LEEWAY_S, MAX_TOKEN_AGE_S } from '../identity/verify-token.ts';
import type { InputRevocation } from '../policy/input.ts';
import type { Policy } from '../policy/policies.ts';
import { listActiveOfSubjects } from '../store/revocations.ts';
import type { RevocationsTable } from '../store/schema.ts';
import type { Db } from '../store/statement.ts';
import { addRevocation } from './add.ts';
import { liftRevocations } from './lift.ts';
import { listOfSubject, subjectUnder } from './of-subject.ts';
import { revoke } from './revoke.ts';

/**
 * Provisioning of persons: the identity provider disables and enables them. A person has one canonical name, which
 * covers all their accounts.
 */

/** A person's state at the identity provider. `deleted` is like `disabled`, but no longer shown. */
export type PersonState = 'active' | 'disabled' | 'deleted';

/** A person's state. Unknown persons are active: the provider may let them sign in. */
export async function stateOfPerson(db: Db, policy: Policy, person: string): Promise<PersonState> {
  return stateBy(await listDisabling(db, policy, person));
}

/** The revocations that disable a person; those with `issued_before_ms` only cover credentials from before their return. */
async function listDisabling(db: Db, policy: Policy, person: string): Promise<RevocationsTable[]> {
  return (await listOfSubject(db, policy, { value: person, cause: 'provisioning' })).filter(isDisabling);
}

function isDisabling({ issued_before_ms }: Pick<RevocationsTable, 'issued_before_ms'>): boolean {
  return issued_before_ms === null;
}

function stateBy(revocations: readonly Pick<RevocationsTable, 'person_state'>[]): PersonState {
  if (revocations.length === 0) return 'active';
  return revocations.some(({ person_state }) => person_state === 'deleted') ? 'deleted' : 'disabled';
}

/**
 * Sets a person's state, effective at once for all their credentials. A disabled person loses sessions and tokens, their
 * requests are parked, and their approvals on open requests are void permanently. Idempotent.
 *
 * @param named the name from {@link ./order.ts subjectName}; under the policy of this write, the person may have another
 * @param remark what the record notes besides the person
 * @returns the state, or the refusal with its record appended
 */
export async function setPersonState(
  writing: WriteContext,
  named: string,
  state: PersonState,
  remark = '',
): Promise<PersonState | Refused> {
  const { tx, call, policy } = writing;
  const person = subjectUnder(policy, named);
  const present = await listDisabling(tx, policy, person);
  const authorized = await authorize(writing, {
    operation: state === 'active' ? 'principal.enable' : 'principal.disable',
    revocation: revocationOf(person, state),
    note: { code: state === 'active' ? 'enabled' : state, detail: `subject ${person}${remark}` },
  });
  if (authorized instanceof Refused) return authorized;
  if (stateBy(present) === state) return state;
  if (state === 'active') await keepFormerTokensRevoked(writing, person);
  else {
    const order = { ...revocationOf(person, state), person_state: state };
    await revoke(writing, { ...order, cause: 'provisioning', expires_ms: null });
  }
  const { id, person: lifter } = call.principal;
  await liftRevocations(
    writing,
    present.map((row) => row.id),
    { id, person: lifter },
  );
  return state;
}

/** A returning person signs in again: credentials from before they were disabled stay revoked. */
async function keepFormerTokensRevoked(writing: WriteContext, person: string): Promise<void> {
  await addRevocation(writing, {
    ...revocationOf(person, 'active'),
    issued_before_ms: writing.now_ms,
    incident: 'provisioning: enabled',
    cause: 'provisioning',
    expires_ms: writing.now_ms + (MAX_TOKEN_AGE_S + LEEWAY_S) * 1000,
  });
}

function revocationOf(person: string, state: PersonState): InputRevocation {
  return {
    kind: 'subject',
    value: person,
    issued_before_ms: null,
    incident: `provisioning: ${state === 'active' ? 'disabled' : state}`,
    reason: 'Requested by the identity provider.',
  };
}

/** The states of all persons, by their present names. Unknown persons are active. */
export async function loadStates(db: Db, policy: Policy): Promise<(person: string) => PersonState> {
  const disabling = (await listActiveOfSubjects(db, 'provisioning')).filter(isDisabling);
  const byPerson = Map.groupBy(disabling, ({ value }) => subjectUnder(policy, value));
  return (person) => stateBy(byPerson.get(person) ?? []);
}
