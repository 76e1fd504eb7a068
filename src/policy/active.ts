import { RunAgain } from '../store/run-again.ts';
import type { AfterCommit } from '../store/writer.ts';
import { readBundle } from './bundle.ts';
import { createPolicy, type Policy, type PolicyDeps } from './policies.ts';

/** So many policies stay compiled: the active one, and those that are replayed most. Each may take 64 MiB and more. */
const MAX_COMPILED = 8;

/** Where activations and bundles are kept. */
export interface PolicyStore<Db> {
  /** The activation that counts in the state that `db` sees; each later one has a higher number. */
  activation(db: Db): Promise<Activation | null>;
  bundle(db: Db, key: { policy_hash: string; archive_digest?: string }): Promise<StoredBundle | null>;
}

/** Which stored bundle is active, and the number of that activation. */
export interface Activation {
  number: number;
  policy_hash: string;
  archive_digest: string;
}

/** A bundle as it is stored. */
export interface StoredBundle {
  policy_hash: string;
  archive_digest: string;
  archive: Buffer;
}

/** What policies are instantiated with, and what is done besides. */
export interface PoliciesOptions extends PolicyDeps {
  /** Throws for a policy that decides, but must not be the active one: its trust rules trust too much. */
  assertUsable?: (policy: Policy) => unknown;
  /** Hears of another policy once its activation is durable, whichever broker activated it. */
  policyChanged?: (policy: Policy) => void;
}

/** The policies of this installation: the active one, and those of former decisions. */
export interface Policies<Db> {
  /**
   * The active policy in committed state. Compiles it where that is due.
   *
   * @throws Error when none was ever activated, or it cannot be used here
   */
  active(db: Db): Promise<Policy>;
  /**
   * The policy that a write meets: the last one that was activated, in the same batch too. Nothing is compiled while the
   * transaction is open.
   *
   * @throws RunAgain when it is not compiled here
   * @throws Error as {@link active}
   */
  activeIn(tx: Db, afterCommit: AfterCommit): Promise<Policy>;
  /**
   * The policy that was active by the last commit that this broker knows of, for what cannot wait. It follows its own
   * writes at once, and other brokers' activations by {@link refresh}. @throws Error before the first of them
   */
  latest(): Policy;
  /** Looks for an activation in committed state. @throws Error as {@link active}, and {@link latest} stays */
  refresh(db: Db): Promise<void>;
  /** Any bundle that was ever stored, for replay, active or not; null when there is none. */
  byHash(db: Db, hash: string): Promise<Policy | null>;
}

/** Reads policies from the store, and keeps a bounded number of them compiled. */
export function createPolicies<Db>(store: PolicyStore<Db>, options: PoliciesOptions): Policies<Db> {
  /** By hash, the one that was used least recently first. */
  const compiled = new Map<string, Policy>();
  const compiling = new Map<string, Promise<Policy>>();
  let latest: { number: number; policy: Policy } | null = null;
  /** The hash that was last found active, before its commit perhaps. */
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

  /** Whoever asks for the same meanwhile waits with the first. */
  function compile(bundle: StoredBundle): Promise<Policy> {
    const hash = bundle.policy_hash;
    const running = compiling.get(hash) ?? instantiate(bundle).finally(() => compiling.delete(hash));
    compiling.set(hash, running);
    return running;
  }

  async function instantiate({ policy_hash, archive_digest, archive }: StoredBundle): Promise<Policy> {
    const bundle = await readBundle(archive);
    if (bundle.hash !== policy_hash || bundle.archive_digest !== archive_digest) {
      throw new Error(
        `the stored bundle ${policy_hash} (${archive_digest}) now has the hash ${bundle.hash} (${bundle.archive_digest})`,
      );
    }
    const policy = await createPolicy(bundle, options);
    keep(policy);
    return policy;
  }

  async function activationOf(db: Db): Promise<Activation> {
    const activation = await store.activation(db);
    if (activation === null) throw new Error('no policy is active: start the broker with a bundle once');
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

  /** Committed activations only come here; one that is read late never takes the place of a later one. */
  function follow(number: number, policy: Policy): void {
    if (latest !== null && number <= latest.number) return;
    const former = latest;
    latest = { number, policy };
    if (former !== null && former.policy.hash !== policy.hash) options.policyChanged?.(policy);
  }

  return {
    active: async (db) => load(db, await activationOf(db)),
    activeIn: async (tx, afterCommit) => {
      const activation = await activationOf(tx);
      const policy = findCompiled(activation.policy_hash);
      if (policy === undefined) {
        // Read here: the batch that stored it may be the one that is undone now.
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
      if (latest === null) throw new Error('the active policy has not been read yet');
      return latest.policy;
    },
    refresh: async (db) => {
      const activation = await activationOf(db);
      if (activation.number !== latest?.number) follow(activation.number, await load(db, activation));
    },
    byHash: async (db, hash) => {
      const found = findCompiled(hash);
      if (found !== undefined) return found;
      const bundle = await store.bundle(db, { policy_hash: hash });
      return bundle === null ? null : compile(bundle);
    },
  };
}
