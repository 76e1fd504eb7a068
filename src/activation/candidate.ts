import type { Base, PlanContext } from '../decide/plan.ts';
import { BrokerError } from '../errors.ts';
import { digestOf } from '../json.ts';
import type { StageBundle } from '../policy/activate.ts';
import type { StoredBundle } from '../policy/active.ts';
import { BundleError } from '../policy/bundle.ts';
import type { Policy } from '../policy/policies.ts';
import { policyOfStage } from '../policy/staged-policy.ts';
import { isShared, sharedData, stageNamed, unknownStage } from '../policy/stages.ts';
import { type BundleKey, findActivation, findActivationOf, findBundle, rootOf } from '../store/policies.ts';
import type { PolicyActivationsTable, PolicyBundlesTable } from '../store/schema.ts';
import type { Db } from '../store/statement.ts';
import { type UnknownName, unknownName } from '../unknown-name.ts';
import { builtFrom } from './build.ts';
import type { DataPatch } from './patch.ts';
import { assertMayReach, factsOf, findPromoted, type Promotion, targetOf } from './promotion.ts';

/** What is to become active: a stored bundle, a change of data, a module of the stage before, or the last with either. */
export interface ActivationOrder {
  policy_hash?: string | undefined;
  archive_digest?: string | undefined;
  patch?: DataPatch | undefined;
  stage?: string | undefined;
  promotes?: number | undefined;
}

/** What would become active, without the judgement of it. */
export interface Candidate {
  /** An earlier stage; null: the last one. */
  stage: string | null;
  bundle: Omit<StageBundle, 'stage' | 'module'>;
  /** The bundle that decides there now. */
  active: Pick<StoredBundle, 'policy_hash' | 'archive_digest'>;
  policy: Policy;
  object: CandidateObject;
  bases: Base[];
}

/** The part of a request's object that says what becomes active, and where. */
export interface CandidateObject {
  id: string;
  archive_digest: string | null;
  revision: string | null;
  /** The policy that is replaced; null for changes that fit others too. */
  replaces: string | null;
  patch: DataPatch | null;
  /** The stage, if there are several. */
  stage?: string;
  /** Of an earlier stage: the environments that it decides. */
  environments?: string[];
  promotes?: Promotion;
}

type Active = PolicyActivationsTable;

/** What a candidate is made for. */
interface Target {
  stage: string | null;
  /** The activation whose bundle decides there now: of its own, or the last stage's. */
  active: Active;
  context: Pick<PlanContext, 'policy' | 'policies'>;
}

/**
 * The candidate of an order, compiled, for use in a write.
 *
 * @throws RunAgain while something has to be built or compiled first
 * @throws BrokerError `invalid_change` if it may not become active in that stage, `not_found` if it is not stored
 */
export async function candidateOf(db: Db, order: ActivationOrder, context: PlanContext): Promise<Candidate> {
  const { policy } = context;
  const stage = stageOf(order, policy);
  const at = targetOf(policy, stage);
  const row = order.promotes === undefined ? null : await findPromoted(db, at, order.promotes);
  const promotes = row === null ? null : await factsOf(db, row, context);
  const active = (await findActivationOf(db, stage)) ?? (await lastActivation(db));
  const target = { stage, active, context };
  const candidate =
    order.policy_hash === undefined
      ? await builtCandidate(db, { patch: order.patch ?? null, promoted: row }, target)
      : await storedCandidate(db, { ...order, policy_hash: order.policy_hash }, target);
  await assertMayReach(db, { policy, stage, candidate: candidate.policy }, row?.module ?? null);
  return {
    ...candidate,
    stage,
    active,
    object: { ...candidate.object, ...placeOf(policy, stage), ...(promotes === null ? {} : { promotes }) },
    bases: [
      ...candidate.bases,
      ...(promotes === null ? [] : [{ of: `promotes:${digestOf(promotes)}`, version: 1 }]),
    ],
  };
}

/** The object of an order that is judged without being carried out. */
export async function unjudgedObject(
  db: Db,
  order: ActivationOrder,
  policy: Policy,
): Promise<CandidateObject> {
  const { policy_hash, patch, promotes } = order;
  const stage = stageNamed(policy.broker.stages, order.stage);
  return {
    id: policy_hash ?? digestOf(patch ?? { promotes }),
    archive_digest: null,
    revision: null,
    replaces: (await lastActivation(db)).policy_hash,
    patch: patch ?? null,
    // A stage that does not exist is only told to those who may propose.
    ...(stage === undefined ? {} : placeOf(policy, stage)),
  };
}

function stageOf({ stage: name }: ActivationOrder, { broker: { stages } }: Policy): string | null {
  const stage = stageNamed(stages, name);
  if (stage !== undefined) return stage;
  throw unknownStage(stages, name ?? '', '#/stage');
}

/** The members of the object that name the stage; none where one stage is all. */
function placeOf(policy: Policy, stage: string | null): Pick<CandidateObject, 'stage' | 'environments'> {
  const { stages } = policy.broker;
  if (stage === null) {
    const last = stages.at(-1);
    return last === undefined ? {} : { stage: last.name };
  }
  return { stage, environments: [...(stages.find(({ name }) => name === stage)?.environments ?? [])] };
}

type Made = Omit<Candidate, 'stage' | 'active'>;

async function storedCandidate(
  db: Db,
  order: { policy_hash: string; archive_digest?: string | undefined },
  { stage, active, context }: Target,
): Promise<Made> {
  const { policy_hash: hash, archive_digest: digest } = order;
  const stored = await findBundle(db, {
    policy_hash: hash,
    ...(digest !== undefined && { archive_digest: digest }),
  });
  if (stored === null) throw unknownName(unknownBundle(order.policy_hash));
  const { policy_hash, archive_digest, revision } = stored;
  const pointer = '#/policy_hash';
  await assertSigned(db, stored, { context, pointer });
  const own = { policy_hash, archive_digest, revision, archive: stored.archive };
  const { bundle, policy } = inStage(
    { bundle: own, policy: readyOf(context, stored, pointer) },
    stage,
    context,
  );
  const isOwn = active.stage === stage;
  if (isOwn && active.policy_hash === bundle.policy_hash && active.archive_digest === bundle.archive_digest) {
    throw activeAlready(pointer);
  }
  return {
    bundle,
    policy,
    object: { id: policy_hash, archive_digest, revision, replaces: active.policy_hash, patch: null },
    bases: [
      stage === null
        ? { of: 'policy:active', version: active.number }
        : { of: `policy:active:${stage}`, version: isOwn ? active.number : 0 },
      // The exact bytes, which hold signatures and cases too.
      { of: `bundle:${archive_digest}`, version: 1 },
    ],
  };
}

/** In an earlier stage, a bundle gets the folders that belong to the last stage. */
function inStage(
  { bundle, policy }: Pick<Candidate, 'bundle' | 'policy'>,
  stage: string | null,
  context: Target['context'],
): Pick<Candidate, 'bundle' | 'policy'> {
  if (stage === null) return { bundle, policy };
  const shared = sharedData(context.policy.data);
  if (sharedData(policy.data).digest === shared.digest) return { bundle, policy };
  const built = builtFrom({ module: bundle, data: bundle, shared, patch: null });
  const stored = toStored(built.bundle, bundle);
  return { bundle: stored, policy: readyOf(context, stored, '#/policy_hash') };
}

/** Based on modules and on the touched rows only, so that changes of other rows do not conflict. */
async function builtCandidate(
  db: Db,
  { patch, promoted }: { patch: DataPatch | null; promoted: (Active & { module: string }) | null },
  { stage, active, context }: Target,
): Promise<Made> {
  if (stage !== null) assertOwnData(patch ?? [], stage);
  const data = await sourceOf(db, active);
  const module = promoted === null ? data : await sourceOf(db, promoted);
  const pointer = patch === null ? '#/promotes' : '#/patch';
  const replaced = policyOfStage(context.policy, stage).module;
  if (patch === null && promoted?.module === replaced) throw activeAlready(pointer);
  if (promoted !== null && promoted.module !== replaced) await assertSigned(db, module, { context, pointer });
  const built = builtFrom({ module, data, shared: null, patch });
  const bundle = toStored(built.bundle, module);
  const modules = [...new Set([built.module, replaced])];
  return {
    bundle,
    policy: readyOf(context, bundle, pointer),
    object: {
      id: promoted === null ? digestOf(patch) : digestOf({ module: promoted.module, patch }),
      archive_digest: null,
      revision: null,
      replaces: null,
      patch,
    },
    bases: [...modules.map((each) => ({ of: `module:${each}`, version: 1 })), ...built.bases],
  };
}

function assertOwnData(patch: DataPatch, stage: string): void {
  const index = patch.findIndex(({ path }) => isShared(path.split('/')[2] ?? ''));
  if (index < 0) return;
  throw fault(`The bundle of the stage "${stage}" has this folder from the last stage.`, {
    pointer: `#/patch/${index}/path`,
    detail: 'propose this without `stage`: the last stage owns it, and every other one follows',
  });
}

async function sourceOf(db: Db, { policy_hash, archive_digest }: Active): Promise<PolicyBundlesTable> {
  const source = await findBundle(db, { policy_hash, archive_digest });
  if (source === null) throw new Error('an activated bundle is not stored');
  return source;
}

async function lastActivation(db: Db): Promise<Active> {
  const active = await findActivation(db);
  if (active === null) throw new Error('no policy is active');
  return active;
}

/**
 * A bundle that the broker built, as it is stored.
 *
 * @param from the bundle whose module it has
 */
export function toStored(
  bundle: { hash: string; archive_digest: string; archive: Buffer; revision: string },
  from: BundleKey,
): Candidate['bundle'] {
  const { hash: policy_hash, archive_digest, archive, revision } = bundle;
  const built_from = { policy_hash: from.policy_hash, archive_digest: from.archive_digest };
  return { policy_hash, archive_digest, archive, revision, built_from };
}

/**
 * Where keys are configured, a stored bundle becomes active only with a signature by one of them: it may have been stored
 * before they were. What the broker built is as good as the bundle whose module it has.
 *
 * @throws BrokerError `invalid_change`, RunAgain
 */
async function assertSigned(
  db: Db,
  bundle: PolicyBundlesTable,
  { context: { policies }, pointer }: Pick<Target, 'context'> & { pointer: string },
): Promise<void> {
  const root = await rootOf(db, bundle);
  const signed = root.archive_digest === bundle.archive_digest ? bundle : await findBundle(db, root);
  if (signed === null) throw new Error('the bundle that another one was built from is not stored');
  refuseBundleFaults(pointer, () => policies.assertSigned(signed));
}

/** The compiled candidate. @throws BrokerError `invalid_change` if it may not become active */
export function readyOf(
  { policies }: Pick<PlanContext, 'policies'>,
  bundle: StoredBundle,
  pointer: string,
): Policy {
  return refuseBundleFaults(pointer, () => policies.ready(bundle));
}

function refuseBundleFaults<T>(pointer: string, check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof BundleError)) throw error;
    throw fault('This policy cannot become active.', { pointer, detail: error.message });
  }
}

function activeAlready(pointer: string): BrokerError {
  return fault('This policy is active already.', {
    pointer,
    detail: 'GET /v1/policy/activations lists them',
  });
}

/** How a bundle is named that is not stored, or that the caller may not read. */
export function unknownBundle(hash: string): Omit<UnknownName, 'nearest'> {
  return { what: 'policy', name: hash, pointer: '#/policy_hash', more: 'Upload its bundle first.' };
}

/** A proposal that cannot be carried out. */
export function fault(message: string, error: { pointer: string; detail: string }): BrokerError {
  return new BrokerError('invalid_change', message, { errors: [error] });
}
