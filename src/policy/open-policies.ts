import { join } from 'node:path';
import { findActivation } from '../store/policies.ts';
import type { Db } from '../store/statement.ts';
import type { Store } from '../store/store.ts';
import type { Policies, PoliciesOptions } from './active.ts';
import { type Bundle, BundleError, readBundle } from './bundle.ts';
import { readArchive } from './bundle-folder.ts';
import { activateFirst, type BundleStart } from './first-start.ts';
import { createPolicy, type Policy } from './policies.ts';
import { assertDecides } from './probe.ts';
import { EXAMPLES } from './shipped.ts';
import { storedPolicies } from './stored-policies.ts';

/** The dependencies of {@link openPolicies}. */
export interface OpenPoliciesDeps extends PoliciesOptions {
  store: Store;
  newId: (nowMs: number) => string;
  /** The file or folder of the bundle that the configuration names, if it names one. */
  file: string | undefined;
  /** Refuses a policy that a first start would activate. */
  assertFirst?: (policy: Policy) => void;
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

/** There is no policy, and none is taken by default: it would be that of other people. */
export function noBundle(): BundleError {
  return new BundleError(
    [
      'no policy is active yet, and the configuration names none. To begin with your own identity provider, run:',
      '    countersign init',
      'To look around with made-up people, run "make demo" in the source, or take an example as policy_bundle or',
      'COUNTERSIGN_POLICY_BUNDLE (`countersign policy init` begins a bundle of your own):',
      `    ${join(EXAMPLES, 'demo', 'bundle.tar.gz')}`,
    ].join('\n'),
  );
}

async function takeBundle(deps: OpenPoliciesDeps): Promise<BundleStart> {
  const { file } = deps;
  const active = await findActivation(deps.store.read);
  if (file === undefined) {
    if (active === null) throw noBundle();
    return { kind: 'unchanged', hash: active.policy_hash };
  }
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
    deps.assertFirst?.(policy);
    assertDecides(policy);
  }
  return activateFirst(deps, bundle);
}
