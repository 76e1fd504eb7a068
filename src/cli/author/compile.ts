import { existsSync } from 'node:fs';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { BundleFiles } from '../../policy/archive.ts';
import { makeNamedFolder } from '../make-folder.ts';
import type { Opa } from './opa.ts';
import { SHIPPED_CAPABILITIES, SHIPPED_MANIFEST } from './package-files.ts';
import { FOLDERS, type Project } from './project.ts';

/**
 * Compiles the Rego of a project to an archive with its module and without data. The same Rego gives the same module as the
 * shipped one has: names of files are in it, so it is compiled in a folder of its own, by relative paths.
 *
 * @throws CliError `opa_failed` with what opa says
 */
export async function compileRego(project: Project, opa: Opa): Promise<Buffer> {
  const work = await mkdtemp(join(tmpdir(), 'countersign-policy-'));
  try {
    const source = join(work, 'policy');
    await writeFiles(source, project.rego);
    await copyFile(fileOf(project, '.manifest', SHIPPED_MANIFEST), join(source, '.manifest'));
    const archive = join(work, 'module.tar.gz');
    await opa.run(
      [
        ...['build', '-b', '-t', 'wasm', '--prune-unused', '-O', '0'],
        ...['--capabilities', capabilitiesOf(project)],
        // `countersign/access` is added by its annotation, if the Rego has it.
        ...['-e', 'countersign/decision', '-o', archive, '.'],
      ],
      source,
    );
    return await readFile(archive);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/**
 * Checks the Rego of a project: strictly, against the schemas of the input and the built-ins that a policy may call.
 *
 * @throws CliError `opa_failed` with what opa says
 */
export async function checkRego({ folder }: Project, opa: Opa): Promise<void> {
  const schemas = existsSync(join(folder, FOLDERS.schemas)) ? ['--schema', FOLDERS.schemas] : [];
  await opa.run(
    ['check', '--strict', '--capabilities', capabilitiesOf({ folder }), ...schemas, FOLDERS.rego],
    folder,
  );
}

/**
 * Runs the Rego tests of a project with its own data and cases, which are `data.config` and `data.cases`.
 *
 * @returns the number of tests
 * @throws CliError `opa_failed` with what opa says
 */
export async function testRego({ folder, cases }: Project, opa: Opa): Promise<number> {
  const examples = [...cases.keys()].filter((path) => path.endsWith('.json') && !path.includes('/'));
  const told = await opa.run(
    [
      ...['test', '--timeout', '180s', FOLDERS.rego, `config:${FOLDERS.data}/config`],
      ...examples.map((path) => `cases.${path.slice(0, -'.json'.length)}:${FOLDERS.cases}/${path}`),
    ],
    folder,
  );
  return Number(/PASS: (\d+)/.exec(told)?.[1] ?? 0);
}

function capabilitiesOf(project: Pick<Project, 'folder'>): string {
  return fileOf(project, 'capabilities.json', SHIPPED_CAPABILITIES);
}

/** The project's own file, or else the shipped one. */
function fileOf({ folder }: Pick<Project, 'folder'>, name: string, shipped: string): string {
  const own = join(folder, name);
  return existsSync(own) ? own : shipped;
}

async function writeFiles(folder: string, files: BundleFiles): Promise<void> {
  for (const [path, bytes] of files) {
    await makeNamedFolder(dirname(join(folder, path)));
    await writeFile(join(folder, path), bytes);
  }
}
