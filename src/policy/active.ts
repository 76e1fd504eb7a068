import { sha256Hex } from '../json.ts';
import { RunAgain } from '../store/run-again.ts';
import type { AfterCommit } from '../store/writer.ts';
import { type Bundle, BundleError, readBundle, readStoredBundle } from './bundle.ts';
import type { BundleKeys } from './bundle-keys.ts';
import { createPolicy, type Policy, type PolicyDeps } from './policies.ts';

/** The number of cached compiled policies: the active one, and the most recently replayed. Each may take 64 MiB or more. */
const MAX_COMPILED = 8;
/** The number of kept faults of bundles. */
const MAX_UNFIT = 64;

/** The storage of activations and bundles. */
export interface PolicyStore<Db> {
  /** The current activation in the state that `db` sees; each later one has a higher number. */
  activation(db: Db): Promise<Activation | null>;
  bundle(db: Db, key: { policy_hash: string; archive_digest?: string }): Promise<StoredBundle | null>;
}

/** The key of the active bundle, and the number of its activation. */
export interface Activation {
  number: number;
  policy_hash: string;
  archive_digest: string;
}

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

/** The dependencies of policies. */
export interface PoliciesOptions extends PolicyDeps {
  /** The keys that sign bundles; without them signatures are not required. */
  keys?: BundleKeys | null;
  /** Tries a bundle that is to be stored, where it can stop nothing. @throws BundleError */
  probe?: (bundle: Bundle) => Promise<void>;
  /** Throws for an active policy that must not be used because its trust rules are too permissive. */
  assertUsable?: (policy: Policy) => unknown;
  /**
   * Throws for a policy that must not become active. It is stricter than {@link assertUsable}: those that are active may have
   * faults that were not known then.
   */
  assertSound?: (policy: Policy) => void;
  /** Called with a new active policy after the commit of its activation, by any broker. */
  policyChanged?: (policy: Policy) => void;
}

/** The policies of this installation: the active one, and those of former decisions. */
export interface Policies<Db> {
  /**
   * The active policy in committed state. Compiles it if necessary.
   *
   * @throws Error if none was ever activated, or it cannot be used here
   */
  active(db: Db): Promise<Policy>;
  /**
   * The policy that decides a write: the last one that was activated, including in the same batch. Nothing is compiled
   * while the transaction is open.
   *
   * @throws RunAgain if it is not compiled here
   * @throws Error as {@link active}
   */
  activeIn(tx: Db, afterCommit: AfterCommit): Promise<Policy>;
  /**
   * The active policy as of the last commit that this broker knows of, for synchronous use. It is updated by this broker's
   * activations at once, and by other brokers' in {@link refresh}. @throws Error before the first activation
   */
  latest(): Policy;
  /** Checks for a new activation in committed state. @throws Error as {@link active}; {@link latest} then stays */
  refresh(db: Db): Promise<void>;
  /** Reads a bundle that somebody sent, and verifies its signature where keys are configured. @throws BundleError */
  readNew(archive: Buffer): Promise<Bundle>;
  /**
   * Tries and compiles a bundle that is to be stored, and checks that it may become active.
   *
   * @throws BundleError if it may not, with a message for its author
   */
  prepare(bundle: StoredBundle): Promise<Policy>;
  /**
   * The compiled policy of a bundle that may become active, for use in a write: nothing is tried or compiled while the
   * transaction is open.
   *
   * @throws RunAgain if it is not compiled here
   * @throws BundleError if it may not become active
   */
  ready(bundle: StoredBundle): Policy;
  /** Any stored bundle, active or not, for replay; null if it does not exist. */
  byHash(db: Db, hash: string): Promise<Policy | null>;
}

/** Reads policies from the store, and caches a bounded number of compiled ones. */
export function createPolicies<Db>(store: PolicyStore<Db>, options: PoliciesOptions): Policies<Db> {
  /** By hash, in order of last use, the least recent first. */
  const compiled = new Map<string, Policy>();
  const compiling = new Map<string, Promise<Policy>>();
  /** What is wrong with bundles that were to become active, by hash, the oldest first. */
  const unfit = new Map<string, BundleError>();
  let latest: { number: number; policy: Policy } | null = null;
  /** The hash that was last found active, possibly before its commit. */
  let met: string | null = null;

  function findCompiled(hash: string): Policy | undefined {
    const policy = compiled.get(hash);
    if (policy !== undefined) keep(policy);
    return policy;
  }

  function keep(policy: Policy): void {
    compiled.delete(policy.hash);
    compiled.set(policy.hash, policy);
    for (const hash of compiled.keys()) {
      if (compiled.size <= MAX_COMPILED) return;
      if (![policy.hash, met, latest?.policy.hash].includes(hash)) compiled.delete(hash);
    }
  }

  /** Concurrent calls for the same policy share one compilation. */
  function compile(bundle: StoredBundle): Promise<Policy> {
    const hash = bundle.policy_hash;
    const running = compiling.get(hash) ?? instantiate(bundle).finally(() => compiling.delete(hash));
    compiling.set(hash, running);
    return running;
  }

  async function instantiate({ policy_hash, archive_digest, archive }: StoredBundle): Promise<Policy> {
    const found = `sha256:${sha256Hex(archive)}`;
    if (found !== archive_digest) throw new CorruptBundle(archive_digest, found);
    const bundle = await readStoredBundle(archive);
    if (bundle.hash !== policy_hash) throw new CorruptBundle(policy_hash, bundle.hash);
    const policy = await createPolicy(bundle, options);
    keep(policy);
    return policy;
  }

  async function activationOf(db: Db): Promise<Activation> {
    const activation = await store.activation(db);
    if (activation === null) throw new Error('no policy is active: start the broker with a policy bundle');
    met = activation.policy_hash;
    return activation;
  }

  async function bundleOf(db: Db, { policy_hash, archive_digest }: Activation): Promise<StoredBundle> {
    const bundle = await store.bundle(db, { policy_hash, archive_digest });
    if (bundle === null)
      throw new Error(`the active bundle ${policy_hash} (${archive_digest}) is not stored`);
    return bundle;
  }

  async function load(db: Db, activation: Activation): Promise<Policy> {
    const policy = findCompiled(activation.policy_hash) ?? (await compile(await bundleOf(db, activation)));
    options.assertUsable?.(policy);
    return policy;
  }

  /** Accepts committed activations only; an older activation never replaces a newer one. */
  function follow(number: number, policy: Policy): void {
    if (latest !== null && number <= latest.number) return;
    const former = latest;
    latest = { number, policy };
    if (former !== null && former.policy.hash !== policy.hash) options.policyChanged?.(policy);
  }

  function assertSound(policy: Policy): void {
    try {
      options.assertSound?.(policy);
    } catch (error) {
      throw new BundleError((error as Error).message, error);
    }
  }

  async function prepare(bundle: StoredBundle): Promise<Policy> {
    const known = findCompiled(bundle.policy_hash);
    if (known === undefined) await options.probe?.(await readStoredBundle(bundle.archive));
    const policy = known ?? (await compile(bundle));
    assertSound(policy);
    return policy;
  }

  /** Prepares a bundle for {@link Policies.ready}, which throws what is wrong with it. */
  async function tryOut(bundle: StoredBundle): Promise<void> {
    try {
      await prepare(bundle);
    } catch (error) {
      if (!(error instanceof BundleError)) throw error;
      unfit.set(bundle.policy_hash, error);
      const [oldest] = unfit.keys();
      if (oldest !== undefined && unfit.size > MAX_UNFIT) unfit.delete(oldest);
    }
  }

  return {
    active: async (db) => load(db, await activationOf(db)),
    activeIn: async (tx, afterCommit) => {
      const activation = await activationOf(tx);
      const policy = findCompiled(activation.policy_hash);
      if (policy === undefined) {
        // Read here, because the batch that stored the bundle may be the one that is now rolled back.
        const bundle = await bundleOf(tx, activation);
        throw new RunAgain(`policy ${activation.policy_hash} ${activation.archive_digest}`, () =>
          compile(bundle),
        );
      }
      options.assertUsable?.(policy);
      const { number } = activation;
      if (number > (latest?.number ?? 0)) afterCommit(() => follow(number, policy));
      return policy;
    },
    latest: () => {
      if (latest === null) throw new Error('the active policy has not been loaded yet');
      return latest.policy;
    },
    refresh: async (db) => {
      const activation = await activationOf(db);
      if (activation.number !== latest?.number) follow(activation.number, await load(db, activation));
    },
    readNew: (archive) => readBundle(archive, { keys: options.keys ?? null }),
    prepare,
    ready: (bundle) => {
      const { policy_hash, archive_digest } = bundle;
      const fault = unfit.get(policy_hash);
      if (fault !== undefined) {
        // It may have been tried on a busy machine: the next call tries it again.
        unfit.delete(policy_hash);
        throw fault;
      }
      const policy = findCompiled(policy_hash);
      if (policy === undefined) {
        throw new RunAgain(`policy ${policy_hash} ${archive_digest}`, () => tryOut(bundle));
      }
      assertSound(policy);
      return policy;
    },
    byHash: async (db, hash) => {
      const found = findCompiled(hash);
      if (found !== undefined) return found;
      const bundle = await store.bundle(db, { policy_hash: hash });
      return bundle === null ? null : compile(bundle);
    },
  };
}
