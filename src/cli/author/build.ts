import { readFile } from 'node:fs/promises';
import { buildBundle } from '../../policy/build-bundle.ts';
import type { Bundle } from '../../policy/bundle.ts';
import { readArchive } from '../../policy/bundle-folder.ts';
import { SHIPPED_MODULE } from '../../policy/shipped.ts';
import { bundleUnusable } from '../bundle-file.ts';
import { compileRego } from './compile.ts';
import { type Opa, opaMissing } from './opa.ts';
import type { Project } from './project.ts';

/** How a project is built. */
export interface BuildOptions {
  /** A bundle whose module is used in place of the shipped one. The project's Rego is not compiled then. */
  module?: string | undefined;
  opa: Opa | null;
  /** The label of the bundle. */
  revision?: string | undefined;
  /** Says what takes long. */
  note(line: string): void;
}

/** What a project was built to. */
export interface Built {
  bundle: Bundle;
  /** Where its module is from. */
  module: 'shipped' | 'given' | 'compiled';
}

/**
 * Builds the bundle of a project. Without Rego of its own it has the module of this version, or of a given bundle, so that no
 * compiler is needed.
 *
 * @throws CliError `opa_missing`, `opa_failed` or `bundle_unusable`, each with what to do
 */
export async function buildProject(project: Project, options: BuildOptions): Promise<Built> {
  const module = options.module !== undefined ? 'given' : project.origin === 'own' ? 'compiled' : 'shipped';
  const archive = await moduleOf(project, module, options);
  const { revision } = options;
  try {
    const bundle = await buildBundle({
      module: archive,
      data: [project.data],
      cases: project.cases,
      ...(revision === undefined ? {} : { revision }),
    });
    return { bundle, module };
  } catch (error) {
    throw bundleUnusable(project.folder, error);
  }
}

async function moduleOf(
  project: Project,
  module: Built['module'],
  { opa, note, module: given = '' }: BuildOptions,
): Promise<Buffer> {
  if (module === 'shipped') return readFile(SHIPPED_MODULE);
  if (module === 'given') {
    return readArchive(given).catch((error: unknown) => {
      throw bundleUnusable(given, error);
    });
  }
  if (opa === null)
    throw opaMissing(
      `The Rego differs from that of this version (${listed(project.changed)}), so building it`,
    );
  note(`Compiling the Rego with opa ${opa.version}. Changed: ${listed(project.changed)}.`);
  return compileRego(project, opa);
}

/** The first names of a list. */
function listed(paths: readonly string[]): string {
  const more = paths.length - 5;
  return [...paths.slice(0, 5), ...(more > 0 ? [`${more} more`] : [])].join(', ');
}
