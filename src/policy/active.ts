import type { AfterCommit } from '../store/batch-transaction.ts';
import { RunAgain } from '../store/run-again.ts';
import { type Bundle, BundleError, readBundle, readStoredBundle } from './bundle.ts';
import type { BundleKeys } from './bundle-keys.ts';
import { createCompiled, type StoredBundle } from './compiled.ts';
import type { Policy, PolicyDeps } from './policies.ts';
import { createSignedCheck } from './signed.ts';
import { stagedPolicy } from './staged-policy.ts';

export { CorruptBundle, type StoredBundle } from './compiled.ts';

/** The number of kept faults of bundles. */
const MAX_UNFIT = 64;

/** The storage of activations and bundles. */
export interface PolicyStore<Db> {
  /** The number of the newest activation in the state that `db` sees, of any stage; 0 before the first. */
  newest(db: Db): Promise<number>;
  /** The current activation of each stage; those of stages that no longer exist count for nothing. */
  activations(db: Db): Promise<Activation[]>;
  bundle(db: Db, key: { policy_hash: string; archive_digest?: string }): Promise<StoredBundle | null>;
}

/** The key of an active bundle, and the number of its activation; each later one has a higher number. */
export interface Activation {
  number: number;
  policy_hash: string;
  archive_digest: string;
  /** The earlier stage that it is of; null: the last one. */
  stage: string | null;
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
  /** Called with the new active policies after the commit of an activation, by any broker. */
  policyChanged?: (policy: Policy) => void;
}

/**
 * The policies of this installation: the active ones, and those of former decisions. Where there are stages, the active
 * policy stands for those of all stages.
 */
export interface Policies<Db> {
  /**
   * The active policy in committed state. Compiles it if necessary.
   *
   * @throws Error if none was ever activated, or it cannot be used here
   */
  active(db: Db): Promise<Policy>;
  /**
   * The policy that decides a write: the last one of each stage that was activated, including in the same batch. Nothing is
   * compiled while the transaction is open.
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
  /**
   * Checks, where keys are configured, that one of them has signed a stored bundle, for use in a write.
   *
   * @throws RunAgain if it was not verified here yet
   * @throws BundleError if none has
   */
  assertSigned(bundle: StoredBundle): void;
  /** Any stored bundle, active or not, for replay; null if it does not exist. */
  byHash(db: Db, hash: string): Promise<Policy | null>;
}

/** What is active, and the number of the newest activation. */
interface Found {
  number: number;
  policy: Policy;
  /** The hashes of the policies of all stages. */
  hashes: ReadonlySet<string>;
}

function hashesOf(policy: Policy): ReadonlySet<string> {
  return new Set([policy, ...policy.earlier.values()].map(({ hash }) => hash));
}

/** The policies of all stages, as one text. */
function versionOf({ hash, earlier }: Policy): string {
  return JSON.stringify([hash, [...earlier].map(([stage, policy]) => [stage, policy.hash])]);
}

/** Reads policies from the store, and caches a bounded number of compiled ones. */
export function createPolicies<Db>(store: PolicyStore<Db>, options: PoliciesOptions): Policies<Db> {
  const compiled = createCompiled(options, (hash) => met.has(hash) || latest?.hashes.has(hash) === true);
  /** What is wrong with bundles that were to become active, by hash, the oldest first. */
  const unfit = new Map<string, BundleError>();
  let latest: Found | null = null;
  /** The hashes that were last found active, possibly before their commit. */
  let met: ReadonlySet<string> = new Set();

  /** What each write misses if a policy that is active is not compiled here. */
  async function uncompiled(tx: Db, activation: Activation): Promise<RunAgain> {
    const what = `policy ${activation.policy_hash} ${activation.archive_digest}`;
    const running = compiled.running(activation.policy_hash);
    if (running !== undefined) return new RunAgain(what, () => running, { isForAll: true });
    // Read here, because the batch that stored the bundle may be the one that is now rolled back.
    const bundle = await bundleOf(tx, activation);
    return new RunAgain(what, () => compiled.compile(bundle), { isForAll: true });
  }

  async function bundleOf(db: Db, { policy_hash, archive_digest }: Activation): Promise<StoredBundle> {
    const bundle = await store.bundle(db, { policy_hash, archive_digest });
    if (bundle === null)
      throw new Error(`the active bundle ${policy_hash} (${archive_digest}) is not stored`);
    return bundle;
  }

  /** What is active, as `db` sees it. Nothing that is committed under a number changes. */
  async function find(db: Db, policyOf: (activation: Activation) => Promise<Policy>): Promise<Found> {
    if (latest !== null && (await store.newest(db)) === latest.number) {
      assertUsable(latest.policy);
      return latest;
    }
    const activations = await store.activations(db);
    met = new Set(activations.map(({ policy_hash }) => policy_hash));
    const current = new Map(activations.map((each) => [each.stage, each]));
    const owner = current.get(null);
    if (owner === undefined) throw new Error('no policy is active: start the broker with a policy bundle');
    const last = await policyOf(owner);
    const earlier = new Map<string, Policy>();
    // Which stages there are is data of the last one.
    for (const { name } of last.broker.stages.slice(0, -1)) {
      const activation = current.get(name);
      if (activation !== undefined) earlier.set(name, await policyOf(activation));
    }
    const policy = stagedPolicy(last, earlier);
    assertUsable(policy);
    met = hashesOf(policy);
    return { number: Math.max(...activations.map(({ number }) => number)), policy, hashes: met };
  }

  function assertUsable(policy: Policy): void {
    for (const each of [policy, ...policy.earlier.values()]) options.assertUsable?.(each);
  }

  /** Committed state: what is not compiled is compiled. */
  function load(db: Db): Promise<Found> {
    return find(
      db,
      async (activation) =>
        compiled.find(activation.policy_hash) ?? (await compiled.compile(await bundleOf(db, activation))),
    );
  }

  /** Accepts committed activations only; an older activation never replaces a newer one. */
  function follow(found: Found): void {
    if (latest !== null && found.number <= latest.number) return;
    const former = latest;
    latest = found;
    if (former !== null && versionOf(former.policy) !== versionOf(found.policy)) {
      options.policyChanged?.(found.policy);
    }
  }

  function assertSound(policy: Policy): void {
    try {
      options.assertSound?.(policy);
    } catch (error) {
      throw new BundleError((error as Error).message, error);
    }
  }

  async function prepare(bundle: StoredBundle): Promise<Policy> {
    const known = compiled.find(bundle.policy_hash);
    if (known === undefined) await options.probe?.(await readStoredBundle(bundle.archive));
    const policy = known ?? (await compiled.compile(bundle));
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
    active: async (db) => (await load(db)).policy,
    activeIn: async (tx, afterCommit) => {
      const found = await find(tx, async (activation) => {
        const policy = compiled.find(activation.policy_hash);
        if (policy === undefined) throw await uncompiled(tx, activation);
        return policy;
      });
      if (found.number > (latest?.number ?? 0)) afterCommit(() => follow(found));
      return found.policy;
    },
    latest: () => {
      if (latest === null) throw new Error('the active policy has not been loaded yet');
      return latest.policy;
    },
    refresh: async (db) => follow(await load(db)),
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
      const policy = compiled.find(policy_hash);
      if (policy === undefined) {
        throw new RunAgain(`a trial of policy ${policy_hash} ${archive_digest}`, () => tryOut(bundle));
      }
      assertSound(policy);
      return policy;
    },
    assertSigned: createSignedCheck(options.keys ?? null),
    byHash: async (db, hash) => {
      const found = compiled.find(hash);
      if (found !== undefined) return found;
      const bundle = await store.bundle(db, { policy_hash: hash });
      return bundle === null ? null : compiled.compile(bundle);
    },
  };
}
