import type { AnswerOf } from '../../routes.ts';
import { readBundleFile } from '../bundle-file.ts';
import type { Context } from '../cli.ts';

type Bundle = AnswerOf<'uploadBundle'>;

/** Stores a bundle, a file or a folder. It is checked here first, so that most faults need no broker. */
export async function uploadBundle({ client }: Context, file: string): Promise<Bundle> {
  const { archive } = await readBundleFile(file);
  return (await client.call<Bundle>({ method: 'POST', path: '/v1/policy/bundles', archive })).body;
}

/** Stores a bundle. @returns its key */
export async function uploadFile(
  context: Context,
  file: string,
): Promise<{ policy_hash: string; archive_digest: string }> {
  const { policy_hash, archive_digest } = await uploadBundle(context, file);
  return { policy_hash, archive_digest };
}
