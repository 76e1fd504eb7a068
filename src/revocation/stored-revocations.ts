import type { Revocation, Revocations } from '../identity/revocations.ts';
import type { Policies } from '../policy/active.ts';
import { resolvePerson } from '../policy/persons.ts';
import { listActiveRevocations, revocationEpoch } from '../store/revocations.ts';
import type { Db } from '../store/statement.ts';
import { isPrincipalId } from './order.ts';
import { createRevocations } from './revocations.ts';

/**
 * The revocations of the store, with the names of one human as the active policy has them: whoever was revoked under the
 * name that a former policy gave them stays revoked.
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
      // With another policy the same rows have other names.
      epoch: async (db) => `${policies.latest().hash} ${await revocationEpoch(db)}`,
      list: async (db) => (await listActiveRevocations(db)).map(underPresentNames),
    },
    humanOf: nameNow,
  });
}
