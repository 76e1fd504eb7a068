import type { Revocations } from '../identity/revocations.ts';
import { humanOf, type Policies } from '../policy/policies.ts';
import { listActiveRevocations, revocationEpoch } from '../store/revocations.ts';
import type { Db } from '../store/statement.ts';
import { createRevocations } from './revocations.ts';

/** The revocations of the store, with the names of one human as the active policy has them. */
export function storedRevocations(policies: Policies<Db>): Revocations<Db> {
  return createRevocations({
    store: { epoch: revocationEpoch, list: listActiveRevocations },
    humanOf: (person) => humanOf(policies.latest(), person),
  });
}
