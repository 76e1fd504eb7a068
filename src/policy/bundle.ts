import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { extract } from 'tar-stream';
import { z } from 'zod';
import { digestOf, sha256Hex } from '../json.ts';
import { parseExactly } from '../json-numbers.ts';
import { type BrokerData, parseBrokerData } from './data.ts';

/** The entry point that every bundle must have. */
export const ENTRYPOINT = 'countersign/decision';

/** A standard OPA bundle, read and checked, ready to be instantiated. */
export interface Bundle {
  /** The policy hash: the identity of the bundle, independent of compression (design section 5). */
  hash: string;
  /** `sha256:` and hex over the archive, which includes signatures: approvals cover it besides the policy hash. */
  archive_digest: string;
  /** The revision that its author set; a label only. */
  revision: string;
  /** The bundle as it was read. */
  archive: Buffer;
  wasm: Buffer;
  data: unknown;
  broker: BrokerData;
}

/** A bundle that cannot be used, with a message for its author. */
export class BundleError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'BundleError';
  }
}

/** Limits the expansion of a small archive in memory. */
const MAX_UNPACKED_BYTES = 16 * 1024 * 1024;

const manifestSchema = z.looseObject({
  revision: z.string().default(''),
  wasm: z.array(z.looseObject({ entrypoint: z.string(), module: z.string() })).min(1),
});

/**
 * Reads a bundle in the format of `opa build -b -t wasm`.
 *
 * @throws BundleError if the archive is damaged, contains anything but regular files, has a duplicate file, is a delta
 *   bundle, lacks `policy.wasm`, `data.json` or `.manifest`, lacks the entry point, or has a number that a double cannot
 *   hold
 * @see OPA documentation, "Bundle File Format"
 */
export function readBundle(archive: Buffer): Promise<Bundle> {
  return read(archive, { parseJson: parseExactly, isStored: false });
}

/**
 * Reads a bundle that is in the store. It may have been stored before numbers that a double cannot hold were refused, or
 * names of persons that are not canonical, and still has to decide and to replay, with the numbers as they were read then.
 *
 * @throws BundleError as {@link readBundle}, except for numbers and aliases
 */
export function readStoredBundle(archive: Buffer): Promise<Bundle> {
  return read(archive, { parseJson: (text) => JSON.parse(text) as unknown, isStored: true });
}

async function read(
  archive: Buffer,
  { parseJson, isStored }: { parseJson: (text: string) => unknown; isStored: boolean },
): Promise<Bundle> {
  const files = await unpack(archive);
  if (files.has('patch.json')) throw new BundleError('delta bundles are not supported: build a full bundle');
  const manifest = parseFile(files, '.manifest', (text) => manifestSchema.parse(parseJson(text)));
  const module = manifest.wasm.find((entry) => entry.entrypoint === ENTRYPOINT)?.module;
  if (module === undefined) {
    throw new BundleError(`the bundle has no entry point ${ENTRYPOINT}: build it with -e ${ENTRYPOINT}`);
  }
  const wasm = files.get(module.replace(/^\//, ''));
  if (wasm === undefined) throw new BundleError(`the bundle has no ${module}: build it with -t wasm`);
  const data = parseFile(files, 'data.json', parseJson);
  return {
    hash: policyHash(wasm, data),
    archive_digest: `sha256:${sha256Hex(archive)}`,
    revision: manifest.revision,
    archive,
    wasm,
    data,
    broker: parseFile(files, 'data.json', () => parseBrokerData(data, isStored)),
  };
}

/**
 * The identity of a policy. Never a hash of the archive: compressed bytes are not stable.
 *
 * @returns `sha256:` and 64 hex digits
 */
function policyHash(wasm: Uint8Array, data: unknown): string {
  return digestOf({
    wasm: sha256Hex(wasm),
    data: digestOf(data).slice('sha256:'.length),
    entrypoint: ENTRYPOINT,
  });
}

function parseFile<T>(files: ReadonlyMap<string, Buffer>, name: string, parse: (text: string) => T): T {
  const bytes = files.get(name);
  if (bytes === undefined) throw new BundleError(`the bundle has no ${name}`);
  try {
    return parse(bytes.toString('utf8'));
  } catch (error) {
    throw new BundleError(`${name} of the bundle is invalid: ${(error as Error).message}`, error);
  }
}

async function unpack(archive: Buffer): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  const reader = extract();
  try {
    reader.end(gunzipSync(archive, { maxOutputLength: MAX_UNPACKED_BYTES }));
    for await (const entry of reader) {
      const name = entry.header.name.replace(/^\.?\//, '');
      if (entry.header.type === 'directory') {
        entry.resume();
        continue;
      }
      if (entry.header.type !== 'file')
        throw new BundleError(`${name}: a bundle may contain only regular files`);
      if (name.startsWith('/') || name.split('/').includes('..')) {
        throw new BundleError(`${name}: not a path inside the bundle`);
      }
      if (files.has(name)) throw new BundleError(`duplicate file ${name} in the bundle`);
      files.set(name, await buffer(entry));
    }
  } catch (error) {
    if (error instanceof BundleError) throw error;
    throw new BundleError(`the bundle is not a readable tar.gz: ${(error as Error).message}`, error);
  }
  return files;
}
