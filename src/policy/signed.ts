import { RunAgain } from '../store/run-again.ts';
import { unpackArchive } from './archive.ts';
import { BundleError } from './bundle-error.ts';
import type { BundleKeys } from './bundle-keys.ts';
import { verifySignature } from './bundle-signature.ts';
import type { StoredBundle } from './compiled.ts';

/** The number of bundles whose verification is kept. */
const MAX_VERIFIED = 64;

/**
 * Creates the check of signatures of stored bundles, for use in a write: keys may have been configured, or removed, since a
 * bundle was stored. Without keys, no signature is required.
 *
 * @returns a function that throws RunAgain if the bundle has not been verified yet, and BundleError if no configured key
 *   has signed it
 */
export function createSignedCheck(keys: BundleKeys | null): (bundle: StoredBundle) => void {
  /** What is wrong with each, by archive digest, the oldest first. */
  const verified = new Map<string, BundleError | null>();

  async function verify({ archive_digest, archive }: StoredBundle, by: BundleKeys): Promise<void> {
    const fault = await unpackArchive(archive)
      .then((files) => verifySignature(files, by))
      .then(() => null)
      .catch((error: unknown) => {
        if (error instanceof BundleError) return error;
        throw error;
      });
    verified.set(archive_digest, fault);
    const [oldest] = verified.keys();
    if (oldest !== undefined && verified.size > MAX_VERIFIED) verified.delete(oldest);
  }

  return (bundle) => {
    if (keys === null) return;
    const fault = verified.get(bundle.archive_digest);
    if (fault === undefined)
      throw new RunAgain(`the signature of ${bundle.archive_digest}`, () => verify(bundle, keys));
    if (fault !== null) throw fault;
  };
}
