import type { Revocations } from '../decide/revocations.ts';
import type { Policies } from '../policy/active.ts';
import { personNames } from '../policy/persons.ts';
import { listActiveRevocations, revocationEpoch } from '../store/revocations.ts';
import type { Db } from '../store/statement.ts';
import { createRevocations } from './revocations.ts';

/** The stored revocations, under the names that policies give persons. */
export function storedRevocations(policies: Policies<Db>): Revocations<Db> {
  return createRevocations({
    store: { epoch: revocationEpoch, list: listActiveRevocations },
    latestNames: () => personNames(policies.latest()),
  });
}
