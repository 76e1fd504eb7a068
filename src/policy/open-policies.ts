import { fileURLToPath } from 'node:url';
import type { Store } from '../store/database.ts';
import { findActivation } from '../store/policies.ts';
import type { Db } from '../store/statement.ts';
import type { Policies, PoliciesOptions } from './active.ts';
import { type Bundle, BundleError, readBundle } from './bundle.ts';
import { readArchive } from './bundle-folder.ts';
import { activateFirst, type BundleStart } from './first-start.ts';
import { createPolicy } from './policies.ts';
import { assertDecides } from './probe.ts';
import { storedPolicies } from './stored-policies.ts';

/** The shipped bundle, which is used if the configuration names none. */
const SHIPPED_BUNDLE = fileURLToPath(new URL('../../policies/bundle.tar.gz', import.meta.url));

/** The dependencies of {@link openPolicies}. */
export interface OpenPoliciesDeps extends PoliciesOptions {
  store: Store;
  newId: (nowMs: number) => string;
  /** The file or folder of the bundle that the configuration names, or undefined for the shipped one. */
  file: string | undefined;
}

/**
 * Opens the policies. Without a policy nothing can be decided, so the broker does not start. The configured bundle is used
 * on the first start only; later starts do not need the file.
 *
 * @throws BundleError, Error with a message for the operator; nothing is changed then
 */
export async function openPolicies(
  deps: OpenPoliciesDeps,
): Promise<{ policies: Policies<Db>; start: BundleStart }> {
  const start = await takeBundle(deps);
  const policies = storedPolicies(deps);
  await policies.refresh(deps.store.read);
  return { policies, start };
}

async function takeBundle(deps: OpenPoliciesDeps): Promise<BundleStart> {
  const file = deps.file ?? SHIPPED_BUNDLE;
  const active = await findActivation(deps.store.read);
  let bundle: Bundle;
  try {
    bundle = await readBundle(await readArchive(file), { keys: deps.keys ?? null });
  } catch (error) {
    if (active === null)
      throw new BundleError(`the policy bundle ${file} cannot be used: ${(error as Error).message}`, error);
    return { kind: 'unreadable', hash: active.policy_hash, detail: (error as Error).message };
  }
  // Instantiated before it is stored: a bundle that cannot decide, or is too permissive, never becomes active.
  if (active === null) {
    const policy = await createPolicy(bundle, deps);
    deps.assertSound?.(policy);
    assertDecides(policy);
  }
  return activateFirst(deps, bundle);
}
