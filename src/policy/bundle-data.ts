import type { BundleFiles } from './archive.ts';
import { BundleError } from './bundle-error.ts';
import { parseBundleJson, parseBundleYaml } from './bundle-json.ts';

type Parse = (bytes: Uint8Array) => unknown;

/** The names of data files, each with its parser. */
const DATA_FILES: Readonly<Record<string, Parse>> = {
  'data.json': parseBundleJson,
  'data.yaml': parseBundleYaml,
  'data.yml': parseBundleYaml,
};

/** A JSON object. */
type Tree = Record<string, unknown>;

/** The parser of a data file; undefined for any other file. */
export function dataParser(path: string): Parse | undefined {
  const name = path.slice(path.lastIndexOf('/') + 1);
  return Object.hasOwn(DATA_FILES, name) ? DATA_FILES[name] : undefined;
}

/**
 * The data of a bundle: each data file at the path of its folder, all merged.
 *
 * @param parseJson reads the JSON files; default: as those of a new bundle
 * @throws BundleError if there is none, a file is invalid, or two of them have a value at the same place
 * @see OPA documentation, "Bundle File Format"
 */
export function mergeData(files: BundleFiles, parseJson: Parse = parseBundleJson): Tree {
  const paths = [...files.keys()].filter((path) => dataParser(path) !== undefined).toSorted();
  if (paths.length === 0) throw new BundleError('the bundle has no data.json');
  const data: Tree = {};
  for (const path of paths) {
    const folders = path.split('/').slice(0, -1);
    const value = folders.reduceRight<unknown>(
      (inner, folder) => Object.fromEntries([[folder, inner]]),
      parseFile(path, files.get(path) ?? Buffer.alloc(0), parseJson),
    );
    if (!isTree(value)) throw new BundleError(`${path} of the bundle is invalid: it must be an object`);
    merge(data, value, path);
  }
  return data;
}

function parseFile(path: string, bytes: Buffer, parseJson: Parse): unknown {
  const parse = dataParser(path);
  try {
    return (parse === parseBundleJson ? parseJson : parse)?.(bytes);
  } catch (error) {
    throw new BundleError(`${path} of the bundle is invalid: ${(error as Error).message}`, error);
  }
}

function merge(into: Tree, from: Tree, path: string): void {
  for (const [name, value] of Object.entries(from)) {
    const present = Object.hasOwn(into, name) ? into[name] : undefined;
    if (present === undefined) {
      // Defined, not assigned: a member with the name `__proto__` stays a member.
      Object.defineProperty(into, name, { value, enumerable: true, writable: true, configurable: true });
    } else if (isTree(present) && isTree(value)) {
      merge(present, value, path);
    } else {
      throw new BundleError(`${path} of the bundle has a value for "${name}" that another data file has too`);
    }
  }
}

/**
 * Checks that the bundle owns all of its data.
 *
 * @param roots the parts of the data that it owns, as its manifest lists them
 * @throws BundleError for data outside of them, and for roots that overlap
 */
export function assertInRoots(data: Tree, roots: readonly string[]): void {
  const owned = roots.map((root) => root.split('/').filter((part) => part !== ''));
  const overlap = owned.find((root, at) =>
    owned.some((other, place) => place !== at && root.every((part, index) => other[index] === part)),
  );
  if (overlap !== undefined) {
    throw new BundleError(`the manifest has overlapping roots: "${overlap.join('/')}" contains another one`);
  }
  const outside = findOutside(data, [], owned);
  if (outside !== null) {
    throw new BundleError(
      `the manifest's roots do not include the data at /${outside.join('/')}: add it to "roots", or remove the data`,
    );
  }
}

/** The path of a value that is in no root; null if there is none. */
function findOutside(value: unknown, path: string[], roots: readonly string[][]): string[] | null {
  if (roots.some((root) => root.every((part, at) => path[at] === part))) return null;
  const isAbove = roots.some((root) => path.every((part, at) => root[at] === part));
  if (!isTree(value) || !isAbove) return path;
  for (const [name, member] of Object.entries(value)) {
    const found = findOutside(member, [...path, name], roots);
    if (found !== null) return found;
  }
  return null;
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
