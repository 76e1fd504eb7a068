import type { Base } from '../decide/plan.ts';
import { BrokerError } from '../errors.ts';
import { digestOf, sha256Hex } from '../json.ts';
import { packWithData } from '../policy/build-bundle.ts';
import { type Bundle, BundleError, readBuiltBundle, readStoredBundle } from '../policy/bundle.ts';
import { RunAgain } from '../store/run-again.ts';
import { type DataPatch, PatchFault, patchData } from './patch.ts';

/** A bundle that the broker built: the module of another one, with changed data. */
export interface BuiltBundle {
  bundle: Bundle;
  /** `sha256:` and hex over the module. */
  module: string;
  bases: Base[];
}

/** The number of builds that are kept. Each may take a few MiB. */
const MAX_BUILT = 16;

/** By archive and patch. A build is a pure function of both, so that every write may share it. */
const built = new Map<string, BuiltBundle | BrokerError>();

/**
 * The bundle that a patch makes of another one, for use in a write.
 *
 * @throws RunAgain if it is not built yet: nothing is built while the transaction is open
 * @throws BrokerError `invalid_change` if the patch does not fit the data, or the result could not be activated
 */
export function builtFrom(
  source: { archive: Buffer; archive_digest: string },
  patch: DataPatch,
): BuiltBundle {
  const key = `${source.archive_digest} ${digestOf(patch)}`;
  const known = built.get(key);
  if (known === undefined) {
    const { archive } = source;
    throw new RunAgain(`a bundle from ${key}`, async () => keep(key, await build(archive, patch)));
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

async function build(archive: Buffer, patch: DataPatch): Promise<BuiltBundle | BrokerError> {
  try {
    const { data, wasm } = await readStoredBundle(archive);
    const patched = patchData(data, patch);
    const bundle = await readBuiltBundle(await packWithData(archive, patched.data), { wasm });
    return { bundle, module: `sha256:${sha256Hex(wasm)}`, bases: patched.bases };
  } catch (error) {
    return faultOf(error);
  }
}

function faultOf(error: unknown): BrokerError {
  if (error instanceof PatchFault) {
    return new BrokerError('invalid_change', 'The patch does not fit the data of the active policy.', {
      errors: [{ pointer: `#/patch/${error.place}`, detail: error.message }],
    });
  }
  if (error instanceof BundleError) {
    return new BrokerError('invalid_change', 'With this patch, the data of the policy would be invalid.', {
      errors: [{ pointer: '#/patch', detail: error.message }],
    });
  }
  throw error;
}
