import type { Revocation, Revocations } from '../identity/revocations.ts';
import type { Policies } from '../policy/active.ts';
import { resolvePerson } from '../policy/persons.ts';
import { listActiveRevocations, revocationEpoch } from '../store/revocations.ts';
import type { Db } from '../store/statement.ts';
import { isPrincipalId } from './order.ts';
import { createRevocations } from './revocations.ts';

/**
 * The stored revocations, with the names of humans from the active policy. A human who was revoked under a name from an
 * earlier policy stays revoked.
 */
export function storedRevocations(policies: Policies<Db>): Revocations<Db> {
  const nameNow = (person: string) => resolvePerson(policies.latest(), person);

  function underPresentNames<R extends Revocation>(revocation: R): R {
    const { kind, value, person } = revocation;
    return {
      ...revocation,
      value: kind === 'subject' && !isPrincipalId(value) ? nameNow(value) : value,
      person: person === null ? null : nameNow(person),
    };
  }

  return createRevocations({
    store: {
      // Another policy may map the same rows to other names.
      epoch: async (db) => `${policies.latest().hash} ${await revocationEpoch(db)}`,
      list: async (db) => (await listActiveRevocations(db)).map(underPresentNames),
    },
    humanOf: nameNow,
  });
}
