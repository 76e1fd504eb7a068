import { access, mkdir, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { KeptPage } from '../audit/kept-page.ts';
import type { Context } from './cli.ts';
import { CliError, usageError } from './cli-error.ts';
import { pathSegment } from './output/text.ts';
import { replaceFile } from './replace-file.ts';
import { bundleFileName } from './verify-material.ts';

/** What was written. */
export interface ExportedInputs {
  /** The file of inputs. */
  file: string;
  decisions: number;
  /** How many bundles are beside it. */
  bundles: number;
}

const INPUTS = 'inputs.jsonl';
/** How many decisions are read at once. */
const PAGE = 500;

/**
 * Writes the inputs and results of all decisions, in the order of the log, and beside them the bundles of the policies that
 * decided, so that `verify --inputs` can make each decision again without a broker.
 *
 * @throws CliError `usage` if the folder cannot be written
 */
export async function exportInputs(context: Context, folder: string): Promise<ExportedInputs> {
  const file = join(folder, INPUTS);
  const unfinished = `${file}.part`;
  const hashes = new Set<string>();
  let decisions = 0;
  try {
    await mkdir(folder, { recursive: true });
    // It names persons and what they did.
    const handle = await open(unfinished, 'w', 0o600);
    try {
      for (let place: number | null = 1; place !== null; ) {
        const page: KeptPage = await readPage(context, place);
        for (const item of page.items) {
          await handle.write(`${JSON.stringify(item)}\n`);
          decisions += 1;
        }
        place = page.next_place;
        if (place !== null) context.note(`Read ${place - 1} of ${page.to_place} records.`);
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    for (const hash of await activatedPolicies(context)) hashes.add(hash);
    for (const hash of hashes) await saveBundle(context, folder, hash);
    await rename(unfinished, file);
  } catch (error) {
    await rm(unfinished, { force: true }).catch(() => undefined);
    if (error instanceof CliError) throw error;
    throw usageError(`${folder} cannot be written: ${(error as Error).message}`);
  }
  return { file, decisions, bundles: hashes.size };
}

async function readPage({ client }: Context, from_place: number): Promise<KeptPage> {
  const query = { from_place: String(from_place), limit: String(PAGE) };
  return (await client.call<KeptPage>({ method: 'GET', path: '/v1/log/inputs', query })).body;
}

/** Every policy that was ever active, in any stage. */
async function activatedPolicies({ client }: Context): Promise<string[]> {
  const { items } = await client.list<{ policy_hash: string }>({
    path: '/v1/policy/activations',
    query: {},
    all: true,
  });
  return items.map(({ policy_hash }) => policy_hash);
}

/** A bundle never changes, so one that is there already stays. */
async function saveBundle({ client }: Context, folder: string, hash: string): Promise<void> {
  const file = join(folder, bundleFileName(hash));
  const isThere = await access(file).then(
    () => true,
    () => false,
  );
  if (!isThere) await replaceFile(file, await client.download(`/v1/policy/bundles/${pathSegment(hash)}`));
}
