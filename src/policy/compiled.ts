import { sha256Hex } from '../json.ts';
import { readStoredBundle } from './bundle.ts';
import { createPolicy, type Policy, type PolicyDeps } from './policies.ts';

/** The number of cached compiled policies: the active ones, and the most recently replayed. Each may take 64 MiB or more. */
const MAX_COMPILED = 8;

/** A bundle in its stored form. */
export interface StoredBundle {
  policy_hash: string;
  archive_digest: string;
  archive: Buffer;
}

/** A stored bundle that is not what it was stored as: its archive digest, or else its policy hash, is another. */
export class CorruptBundle extends Error {
  readonly stored: string;
  readonly found: string;

  constructor(stored: string, found: string) {
    super(`the stored bundle ${stored} is corrupt: it has the hash ${found}`);
    this.name = 'CorruptBundle';
    this.stored = stored;
    this.found = found;
  }
}

/** A bounded number of compiled policies. */
export interface CompiledPolicies {
  find(hash: string): Policy | undefined;
  /** Concurrent calls for the same policy share one compilation. @throws CorruptBundle, BundleError */
  compile(bundle: StoredBundle): Promise<Policy>;
  /** The compilation that is in progress. */
  running(hash: string): Promise<Policy> | undefined;
}

/**
 * A cache of compiled policies.
 *
 * @param isActive whether a policy may be active, by its hash: those are never dropped
 */
export function createCompiled(deps: PolicyDeps, isActive: (hash: string) => boolean): CompiledPolicies {
  /** By hash, in order of last use, the least recent first. */
  const compiled = new Map<string, Policy>();
  const compiling = new Map<string, Promise<Policy>>();

  function keep(policy: Policy): void {
    compiled.delete(policy.hash);
    compiled.set(policy.hash, policy);
    for (const hash of compiled.keys()) {
      if (compiled.size <= MAX_COMPILED) return;
      if (hash !== policy.hash && !isActive(hash)) compiled.delete(hash);
    }
  }

  async function instantiate({ policy_hash, archive_digest, archive }: StoredBundle): Promise<Policy> {
    const found = `sha256:${sha256Hex(archive)}`;
    if (found !== archive_digest) throw new CorruptBundle(archive_digest, found);
    const bundle = await readStoredBundle(archive);
    if (bundle.hash !== policy_hash) throw new CorruptBundle(policy_hash, bundle.hash);
    const policy = await createPolicy(bundle, deps);
    keep(policy);
    return policy;
  }

  return {
    find: (hash) => {
      const policy = compiled.get(hash);
      if (policy !== undefined) keep(policy);
      return policy;
    },
    compile: (bundle) => {
      const hash = bundle.policy_hash;
      const running = compiling.get(hash) ?? instantiate(bundle).finally(() => compiling.delete(hash));
      compiling.set(hash, running);
      return running;
    },
    running: (hash) => compiling.get(hash),
  };
}
