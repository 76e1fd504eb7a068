import { setImmediate } from 'node:timers/promises';
import type { Base } from '../decide/plan.ts';
import { BrokerError } from '../errors.ts';
import { digestOf } from '../json.ts';
import { packWithData } from '../policy/build-bundle.ts';
import {
  type Bundle,
  BundleError,
  moduleDigest,
  readBuiltBundle,
  readStoredBundle,
} from '../policy/bundle.ts';
import { type SharedData, withShared } from '../policy/stages.ts';
import { RunAgain } from '../store/run-again.ts';
import { type DataPatch, PatchFault, patchData } from './patch.ts';

/** A stored bundle that something is taken from. */
export interface Source {
  archive: Buffer;
  archive_digest: string;
}

/** What the broker builds a bundle from. */
export interface Recipe {
  /** The bundle whose module it takes, with everything but its data. */
  module: Source;
  /** The bundle whose data it takes. */
  data: Source;
  /** Folders that take the place of the data's own; null: none. */
  shared: SharedData | null;
  /** A change of the data; null: none. */
  patch: DataPatch | null;
}

/** A bundle that the broker built: the module of another one, with other data. */
export interface BuiltBundle {
  bundle: Bundle;
  /** `sha256:` and hex over the module. */
  module: string;
  /** What its patch is based on. */
  bases: Base[];
}

/** The number of builds that are kept. Each may take a few MiB. */
const MAX_BUILT = 16;

/** By recipe. A build is a pure function of it, so that every write may share it. */
const built = new Map<string, BuiltBundle | BrokerError>();

/**
 * The bundle that a recipe makes, for use in a write.
 *
 * @throws RunAgain if it is not built yet: nothing is built while the transaction is open
 * @throws BrokerError `invalid_change` if the patch does not fit the data, or the result could not be activated
 */
export function builtFrom(recipe: Recipe): BuiltBundle {
  const { module, data, shared, patch } = recipe;
  const key = digestOf([module.archive_digest, data.archive_digest, shared?.digest ?? null, patch]);
  const known = built.get(key);
  if (known === undefined) {
    throw new RunAgain(`a bundle from ${key}`, async () => keep(key, await build(recipe)));
  }
  if (known instanceof BrokerError) throw known;
  return known;
}

function keep(key: string, result: BuiltBundle | BrokerError): void {
  built.set(key, result);
  for (const oldest of built.keys()) {
    if (built.size <= MAX_BUILT) return;
    built.delete(oldest);
  }
}

async function build({ module, data, shared, patch }: Recipe): Promise<BuiltBundle | BrokerError> {
  try {
    const from = await readStoredBundle(module.archive);
    const own = data === module ? from : await readStoredBundle(data.archive);
    const whole = shared === null ? own.data : withShared(own.data, shared);
    await setImmediate();
    const patched = patch === null ? { data: whole, bases: [] } : patchData(whole, patch);
    await setImmediate();
    const bundle = await readBuiltBundle(await packWithData(module.archive, patched.data), from);
    return { bundle, module: moduleDigest(from), bases: patched.bases };
  } catch (error) {
    return faultOf(error, patch !== null);
  }
}

function faultOf(error: unknown, isPatched: boolean): BrokerError {
  if (error instanceof PatchFault) {
    return new BrokerError('invalid_change', 'The patch does not fit the data of the active policy.', {
      errors: [{ pointer: `#/patch/${error.place}`, detail: error.message }],
    });
  }
  if (error instanceof BundleError) {
    const what = isPatched ? 'With this patch, the data' : 'The data';
    return new BrokerError('invalid_change', `${what} of the policy would be invalid.`, {
      errors: [{ pointer: isPatched ? '#/patch' : '#', detail: error.message }],
    });
  }
  throw error;
}
