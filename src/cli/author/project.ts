import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { BundleFiles } from '../../policy/archive.ts';
import { BundleError } from '../../policy/bundle-error.ts';
import { readFolder } from '../../policy/bundle-folder.ts';
import { bundleUnusable } from '../bundle-file.ts';
import { usageError } from '../cli-error.ts';
import { SHIPPED_REGO } from './package-files.ts';

/** The folders of a policy project. */
export const FOLDERS = { data: 'data', cases: 'cases', rego: 'countersign', schemas: 'schemas' } as const;

/** Where the Rego of a project comes from: it has none, it has that of this version, or its own. */
export type RegoOrigin = 'none' | 'shipped' | 'own';

/** A policy project as it is on disk. */
export interface Project {
  folder: string;
  /** The files of `data/`, by their path inside it. */
  data: BundleFiles;
  /** The files of `cases/`, by their path inside it. */
  cases: BundleFiles;
  /** The Rego by its path inside the project, without tests. */
  rego: BundleFiles;
  origin: RegoOrigin;
  /** The Rego files that differ from those of this version, are missing or were added; sorted. */
  changed: string[];
  /** Whether it has tests in Rego. */
  hasTests: boolean;
}

const NO_FILES: BundleFiles = new Map();

/**
 * Reads a policy project.
 *
 * @throws CliError `usage` if the folder is none, `bundle_unusable` for files that no bundle may have
 */
export async function readProject(folder: string): Promise<Project> {
  if (!(await isFolder(join(folder, FOLDERS.data)))) {
    throw usageError(
      `${folder} is no policy project: it has no folder ${FOLDERS.data}. Begin one with: countersign policy init`,
    );
  }
  const [data, cases, rego, own] = await Promise.all([
    readFolder(join(folder, FOLDERS.data)),
    readIfThere(join(folder, FOLDERS.cases)),
    readIfThere(join(folder, FOLDERS.rego)),
    readFolder(SHIPPED_REGO),
  ]).catch((error: unknown) => {
    throw error instanceof BundleError ? bundleUnusable(folder, error) : error;
  });
  const files = regoOf(rego);
  const changed = differences(files, regoOf(own));
  const origin = files.size === 0 ? 'none' : changed.length === 0 ? 'shipped' : 'own';
  const hasTests = [...rego.keys()].some((path) => path.endsWith('_test.rego'));
  return { folder: resolve(folder), data, cases, rego: files, origin, changed, hasTests };
}

/** The Rego of the shipped policy, as a new project has it. */
export async function readShippedRego(): Promise<BundleFiles> {
  return regoOf(await readFolder(SHIPPED_REGO));
}

function regoOf(files: BundleFiles): Map<string, Buffer> {
  return new Map(
    [...files]
      .filter(([path]) => path.endsWith('.rego') && !path.endsWith('_test.rego'))
      .map(([path, bytes]) => [`${FOLDERS.rego}/${path}`, bytes]),
  );
}

function differences(files: BundleFiles, shipped: BundleFiles): string[] {
  const paths = new Set([...files.keys(), ...shipped.keys()]);
  return [...paths].filter((path) => !textOf(files, path).equals(textOf(shipped, path))).toSorted();
}

/** A checkout may have other ends of lines; to the compiler they are the same. */
function textOf(files: BundleFiles, path: string): Buffer {
  const bytes = files.get(path);
  return bytes === undefined ? Buffer.of(0) : Buffer.from(bytes.toString('utf8').replaceAll('\r\n', '\n'));
}

async function readIfThere(folder: string): Promise<BundleFiles> {
  return (await isFolder(folder)) ? readFolder(folder) : NO_FILES;
}

/** Whether there is a folder of this name. */
export async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null))?.isDirectory() === true;
}
