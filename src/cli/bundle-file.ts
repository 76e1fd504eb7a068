import { type Bundle, readBundle } from '../policy/bundle.ts';
import { readArchive } from '../policy/bundle-folder.ts';
import { CliError } from './cli-error.ts';
import { EXIT } from './output/exit-codes.ts';

/** Reads a policy bundle from a file or a folder. @throws CliError `bundle_unusable` */
export async function readBundleFile(file: string): Promise<Bundle> {
  try {
    return await readBundle(await readArchive(file));
  } catch (error) {
    throw bundleUnusable(file, error);
  }
}

/** The error for a bundle that cannot be used. */
export function bundleUnusable(file: string, error: unknown): CliError {
  return new CliError(
    EXIT.error,
    {
      code: 'bundle_unusable',
      title: 'The bundle is not usable',
      detail: `${file}: ${(error as Error).message}`,
    },
    { cause: error },
  );
}
