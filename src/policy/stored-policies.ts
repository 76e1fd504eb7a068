import { findBundle, findNewestNumber, listCurrentActivations } from '../store/policies.ts';
import type { Db } from '../store/statement.ts';
import { createPolicies, type Policies, type PoliciesOptions } from './active.ts';

/** The stored policies. */
export function storedPolicies(options: PoliciesOptions): Policies<Db> {
  return createPolicies<Db>(
    { newest: findNewestNumber, activations: listCurrentActivations, bundle: findBundle },
    options,
  );
}
