import { z } from 'zod';
import { authorize, questionOf } from '../decide/authorize.ts';
import type { Call, ControlDeps, WriteContext } from '../decide/control.ts';
import { Refused } from '../decide/refused.ts';
import { BrokerError } from '../errors.ts';
import { epochMs } from '../moment.ts';
import { type Bundle, BundleError } from '../policy/bundle.ts';
import { newId } from '../random.ts';
import {
  type BundleSummary,
  findBundle,
  findBundleSource,
  storeBundle,
  storeBundleSource,
} from '../store/policies.ts';
import { RunAgain } from '../store/run-again.ts';
import { parseSource, sourceOf, sourceSchema } from '../trust/source.ts';

/*
 * Changing the active policy: bundles are uploaded here, and activated by requests of kind `policy.activate`
 * (`requests/kinds/policy-activate.ts`). `policy/` reads and evaluates bundles. Nothing here activates.
 */

/** A stored bundle, without its archive. */
export const bundleViewSchema = z
  .object({
    policy_hash: z.string().meta({ description: 'The identity of the policy: of its module and its data.' }),
    archive_digest: z
      .string()
      .meta({ description: 'The digest of exactly these bytes, which include signatures and cases.' }),
    revision: z.string().meta({ description: 'The label that its author set.' }),
    bytes: z.int(),
    stored_ms: epochMs,
    source: sourceSchema
      .nullable()
      .meta({ description: 'The source of the CI job that uploaded it first; null if none did.' }),
  })
  .meta({ id: 'PolicyBundle' });
export type BundleView = z.infer<typeof bundleViewSchema>;

/** Converts a stored bundle to its answer. */
export function toBundleView({ source, ...row }: BundleSummary): BundleView {
  return { ...row, source: source === null ? null : parseSource(source) };
}

/** The check of the upload before: one at a time, because each may take seconds, and hundreds of MiB. */
let checking: Promise<unknown> = Promise.resolve();

/**
 * Creates the write that stores a bundle. It is compiled and checked before, so that no other write waits for it, and only
 * for a caller who may upload. Idempotent: the same bytes are stored once.
 *
 * @throws BrokerError `invalid_bundle` if it could never be activated; nothing is stored then
 */
export async function uploadOf(
  deps: ControlDeps,
  { principal }: Call,
  archive: Buffer,
): Promise<(writing: WriteContext) => Promise<BundleView | Refused>> {
  const policy = await deps.policies.active(deps.store.read);
  const question = questionOf(policy, principal, { operation: 'policy.upload' });
  const isAllowed = policy.decide(question, deps.clock()).effect === 'allow';
  let checked = isAllowed ? await checkInTurn(archive, deps.policies) : null;
  return async (writing) => {
    const { tx, now_ms } = writing;
    const bundle = checked;
    const note =
      bundle === null
        ? undefined
        : { code: 'bundle_stored', detail: `${bundle.hash} (${bundle.archive_digest})` };
    const authorized = await authorize(writing, { operation: 'policy.upload', ...(note && { note }) });
    if (authorized instanceof Refused) return authorized;
    if (bundle === null) {
      // A policy that has just become active allows it.
      throw new RunAgain(`a check of upload ${newId(now_ms)}`, async () => {
        checked = await checkInTurn(archive, deps.policies);
      });
    }
    const { hash: policy_hash, archive_digest, revision } = bundle;
    await storeBundle(tx, { policy_hash, archive_digest, revision, archive, stored_ms: now_ms });
    const source = sourceOf(principal);
    if (source !== null)
      await storeBundleSource(tx, { archive_digest, source: JSON.stringify(source), stored_ms: now_ms });
    const stored = await findBundle(tx, { policy_hash, archive_digest });
    if (stored === null) throw new Error('the bundle that was just stored is not there');
    const { stored_ms } = stored;
    const bytes = archive.length;
    const known = await findBundleSource(tx, archive_digest);
    return toBundleView({ policy_hash, archive_digest, revision, bytes, stored_ms, source: known });
  };
}

function checkInTurn(archive: Buffer, policies: ControlDeps['policies']): Promise<Bundle> {
  const checked = checking.then(() => check(archive, policies));
  checking = checked.catch(() => undefined);
  return checked;
}

async function check(archive: Buffer, policies: ControlDeps['policies']): Promise<Bundle> {
  try {
    const bundle = await policies.readNew(archive);
    const { hash: policy_hash, archive_digest } = bundle;
    await policies.prepare({ policy_hash, archive_digest, archive });
    return bundle;
  } catch (error) {
    const detail = error instanceof Error ? error.message : 'it cannot be read';
    const fault = error instanceof BundleError ? detail : `the bundle cannot become active: ${detail}`;
    throw new BrokerError('invalid_bundle', fault, {}, error);
  }
}
