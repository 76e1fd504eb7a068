import { type BundleFiles, packArchive, unpackArchive, unpackStoredArchive } from './archive.ts';
import { type Bundle, readBundle } from './bundle.ts';
import { dataParser, mergeData } from './bundle-data.ts';
import { BundleError } from './bundle-error.ts';
import { parseBundleJson } from './bundle-json.ts';

/*
 * Bundles without OPA: the module of another bundle, with other data. Only changed Rego needs a compiler.
 */

/** The folder of an archive's decision cases. */
const CASES = 'cases/';

/** What a bundle is built from. */
export interface BundleParts {
  /** An archive with the module: a bundle, or one that `opa build` wrote without data. */
  module: Buffer;
  /** Folders of data, laid out as OPA does. The data of a folder takes the place of an earlier one's at the same path. */
  data: readonly BundleFiles[];
  /** The decision cases that go with it, JSON files; default: none, whatever the archive with the module has. */
  cases?: BundleFiles;
  /** A label for people, such as a commit; default: that of the module. */
  revision?: string;
}

/**
 * Builds a bundle from a module, folders of data, and decision cases. Equal parts give the same archive.
 *
 * @throws BundleError if a folder has a file that belongs elsewhere, and for everything that `readBundle` refuses
 */
export async function buildBundle({ module, data, cases, revision }: BundleParts): Promise<Bundle> {
  const files = withoutData(await unpackArchive(module));
  for (const path of files.keys()) if (path.startsWith(CASES)) files.delete(path);
  for (const [path, bytes] of cases ?? []) files.set(`${CASES}${assertCases(path)}`, bytes);
  if (revision !== undefined) files.set('.manifest', withRevision(files.get('.manifest'), revision));
  return readBundle(await pack(files, mergeData(layered(data))));
}

/** The archive of a stored bundle with other data: the same module, the same cases. */
export async function packWithData(archive: Buffer, data: unknown): Promise<Buffer> {
  return pack(withoutData(await unpackStoredArchive(archive)), data);
}

function pack(files: BundleFiles, data: unknown): Promise<Buffer> {
  return packArchive(new Map(files).set('data.json', Buffer.from(JSON.stringify(data))));
}

/** A signature would be of other files, so it is left out too. */
function withoutData(files: BundleFiles): Map<string, Buffer> {
  return new Map(
    [...files].filter(([path]) => dataParser(path) === undefined && path !== '.signatures.json'),
  );
}

/** The data files of all layers. */
function layered(layers: readonly BundleFiles[]): BundleFiles {
  const files = new Map<string, Buffer>();
  for (const layer of layers) {
    const own = [...layer].filter(([path]) => isData(path));
    const folders = new Set(own.map(([path]) => folderOf(path)));
    for (const path of files.keys()) if (folders.has(folderOf(path))) files.delete(path);
    for (const [path, bytes] of own) files.set(path, bytes);
  }
  if (files.size === 0)
    throw new BundleError('there is no data: a data file is named data.yaml or data.json');
  return files;
}

/** What looks like a part of the policy, and would be left out silently, is refused; others, such as a README, are not. */
function isData(path: string): boolean {
  if (dataParser(path) !== undefined) return true;
  if (/\.(json|ya?ml)$/.test(path)) {
    throw new BundleError(
      `${path}: a data file is named data.yaml or data.json, in a folder named for its subject`,
    );
  }
  if (path.endsWith('.rego')) {
    throw new BundleError(`${path}: Rego has to be compiled by opa build; a folder of data has only data`);
  }
  return false;
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/') + 1);
}

function assertCases(path: string): string {
  const isCases = path.endsWith('.json') && dataParser(path) === undefined;
  if (!isCases) {
    throw new BundleError(`${path}: cases are JSON files, under any other name than data.json`);
  }
  return path;
}

function withRevision(manifest: Buffer | undefined, revision: string): Buffer {
  if (manifest === undefined)
    throw new BundleError('the module has no .manifest: build it with opa build -b');
  return Buffer.from(JSON.stringify({ ...(parseBundleJson(manifest) as object), revision }));
}
