import { setImmediate } from 'node:timers/promises';
import { z } from 'zod';
import { digestOf, sha256Hex } from '../json.ts';
import { type BundleFiles, unpackArchive, unpackStoredArchive } from './archive.ts';
import { assertInRoots, mergeData } from './bundle-data.ts';
import { BundleError } from './bundle-error.ts';
import { parseBundleJson } from './bundle-json.ts';
import type { BundleKeys } from './bundle-keys.ts';
import { verifySignature } from './bundle-signature.ts';
import { readCases } from './cases.ts';
import { type BrokerData, parseBrokerData } from './data.ts';
import { assertData } from './data-faults.ts';

export { BundleError } from './bundle-error.ts';

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

const manifestSchema = z.looseObject({
  revision: z.string().default(''),
  /** The parts of `data` that the bundle owns. */
  roots: z.array(z.string()).default(['']),
  wasm: z.array(z.looseObject({ entrypoint: z.string(), module: z.string() })).min(1),
});

/**
 * Reads a bundle in the format of `opa build -b -t wasm`.
 *
 * @throws BundleError if the archive has surprises ({@link unpackArchive}), is a delta bundle, lacks `policy.wasm`, data or
 *   `.manifest`, lacks the entry point, has a file that two readers would read in different ways, data outside of its
 *   roots, data with faults, or decision cases that cannot be read
 * @param options.keys the keys one of which must have signed it; without them a signature is neither required nor verified
 * @see OPA documentation, "Bundle File Format"
 */
export async function readBundle(
  archive: Buffer,
  { keys = null }: { keys?: BundleKeys | null } = {},
): Promise<Bundle> {
  const files = await unpackArchive(archive);
  assertOrdinary(files);
  if (keys !== null) await verifySignature(files, keys);
  return bundleOf(archive, files, { parseJson: parseBundleJson, isStored: false });
}

/**
 * Reads a bundle that the broker built from another one: the same module with other data. It needs no signature, because
 * the module was verified when `from` was taken, and the request that activates the data names who changed it.
 *
 * @param from the bundle with the module, which is stored
 * @throws BundleError as {@link readBundle}, and if the module is another one
 */
export async function readBuiltBundle(archive: Buffer, from: Pick<Bundle, 'wasm'>): Promise<Bundle> {
  const bundle = await readBundle(archive);
  if (!bundle.wasm.equals(from.wasm))
    throw new BundleError('the bundle has another module than the one it is built from');
  return bundle;
}

/**
 * Reads a bundle that is in the store. It may have been stored before all that {@link readBundle} refuses was refused, and
 * still has to decide and to replay, with everything as it was read then.
 *
 * @throws BundleError if nothing can be read
 */
export async function readStoredBundle(archive: Buffer): Promise<Bundle> {
  return bundleOf(archive, await unpackStoredArchive(archive), {
    parseJson: (bytes) => JSON.parse(Buffer.from(bytes).toString('utf8')) as unknown,
    isStored: true,
  });
}

interface Reading {
  parseJson: (bytes: Uint8Array) => unknown;
  isStored: boolean;
}

/** Lets everybody else be answered between its steps: each takes a while for much data. */
async function bundleOf(
  archive: Buffer,
  files: BundleFiles,
  { parseJson, isStored }: Reading,
): Promise<Bundle> {
  if (files.has('patch.json')) throw new BundleError('delta bundles are not supported: build a full bundle');
  const manifest = inFile('.manifest', () => manifestSchema.parse(parseJson(fileOf(files, '.manifest'))));
  const module = manifest.wasm.find((entry) => entry.entrypoint === ENTRYPOINT)?.module;
  if (module === undefined) {
    throw new BundleError(`the bundle has no entry point ${ENTRYPOINT}: build it with -e ${ENTRYPOINT}`);
  }
  const wasm = files.get(module.replace(/^\//, ''));
  if (wasm === undefined) throw new BundleError(`the bundle has no ${module}: build it with -t wasm`);
  const data = mergeData(files, parseJson);
  if (!isStored) {
    await setImmediate();
    assertInRoots(data, manifest.roots);
    readCases(files);
    await setImmediate();
    inFile('data.json', () => assertData(data));
  }
  await setImmediate();
  const broker = inFile('data.json', () => parseBrokerData(data, isStored));
  await setImmediate();
  const hash = policyHash(wasm, data);
  const archive_digest = `sha256:${sha256Hex(archive)}`;
  return { hash, archive_digest, revision: manifest.revision, archive, wasm, data, broker };
}

/** `sha256:` and hex over the module of a bundle, which promotions compare. */
export function moduleDigest({ wasm }: Pick<Bundle, 'wasm'>): string {
  return `sha256:${sha256Hex(wasm)}`;
}

/** OPA takes files with these names for what they are called after, wherever they are. */
function assertOrdinary(files: BundleFiles): void {
  for (const path of files.keys()) {
    const name = path.slice(path.lastIndexOf('/') + 1);
    if (name === 'patch.json') throw new BundleError('delta bundles are not supported: build a full bundle');
    const isElsewhere = path !== '.manifest' && path !== '.signatures.json';
    if (isElsewhere && /\.manifest(\.pb)?$|signatures\.json$/.test(name)) {
      throw new BundleError(
        `${path}: OPA takes it for the manifest or the signatures of the bundle: only .manifest and .signatures.json at its top may have such a name`,
      );
    }
  }
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

function fileOf(files: BundleFiles, path: string): Buffer {
  const bytes = files.get(path);
  if (bytes === undefined) throw new BundleError(`the bundle has no ${path}`);
  return bytes;
}

function inFile<T>(path: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof BundleError) throw error;
    throw new BundleError(`${path} of the bundle is invalid: ${(error as Error).message}`, error);
  }
}
