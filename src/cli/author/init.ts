import { readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { readFolder } from '../../policy/bundle-folder.ts';
import { STARTER_DATA } from '../../policy/shipped.ts';
import { loadPackage } from '../../version.ts';
import { CliError } from '../cli-error.ts';
import { makeNamedFolder } from '../make-folder.ts';
import { EXIT } from '../output/exit-codes.ts';
import { PROJECT_TEXTS, SHIPPED_CAPABILITIES, SHIPPED_MANIFEST, SHIPPED_SCHEMAS } from './package-files.ts';
import { FOLDERS, readShippedRego } from './project.ts';
import { projectCases } from './project-cases.ts';
import { holdersOf, type ProjectAnswers, projectData, ROLES } from './project-data.ts';

/** What became of a new project. */
export interface Created {
  folder: string;
  written: string[];
  /** Files that were there, with another content, and stay as they are. */
  kept: string[];
}

/**
 * Writes a policy project.
 *
 * @param options.withRego whether it gets the Rego, for rules of its own
 * @param options.force whether the folder may have something in it; what is there is never overwritten
 * @throws CliError `folder_not_empty`; nothing is written then
 */
export async function createProject(
  folder: string,
  answers: ProjectAnswers,
  { withRego, force }: { withRego: boolean; force: boolean },
): Promise<Created> {
  const present = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw notWritten(folder, error);
  });
  if (present.length > 0 && !force) throw notEmpty(folder, present);
  const files = await projectFiles(answers, withRego);
  const created: Created = { folder, written: [], kept: [] };
  for (const [path, bytes] of files) {
    const file = join(folder, path);
    try {
      await makeNamedFolder(dirname(file));
      // Never replaces a file.
      await writeFile(file, bytes, { flag: 'wx' });
      created.written.push(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw notWritten(folder, error as Error);
      const isSame = await readFile(file).then(
        (there) => there.equals(bytes),
        () => false,
      );
      if (!isSame) created.kept.push(path);
    }
  }
  return created;
}

/** The files of a new project, by path. */
async function projectFiles(answers: ProjectAnswers, withRego: boolean): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  const starter = new Map<string, string>();
  for (const [path, bytes] of await readFolder(STARTER_DATA)) {
    const [, name] = /^config\/([^/]+)\/data\.yaml$/.exec(path) ?? [];
    if (name !== undefined) starter.set(name, bytes.toString('utf8'));
  }
  for (const [name, text] of projectData(starter, answers))
    files.set(`${FOLDERS.data}/config/${name}/data.yaml`, Buffer.from(text));
  const { base, decisions } = projectCases(answers);
  files.set(`${FOLDERS.cases}/base.json`, json(base));
  files.set(`${FOLDERS.cases}/decisions.json`, json(decisions));
  if (withRego) {
    for (const [path, bytes] of await readShippedRego()) files.set(path, bytes);
    files.set(`${FOLDERS.rego}/own/own_test.rego`, await text('own-test.txt'));
    for (const [path, bytes] of await readFolder(SHIPPED_SCHEMAS))
      files.set(`${FOLDERS.schemas}/${path}`, bytes);
    files.set('capabilities.json', await readFile(SHIPPED_CAPABILITIES));
    files.set('.manifest', await readFile(SHIPPED_MANIFEST));
  }
  for (const [name, path] of TEXTS) files.set(path, filled(await text(name), answers));
  return files;
}

/** The texts of a project, with the path that each gets. */
const TEXTS = [
  ['README.md', 'README.md'],
  ['Makefile', 'Makefile'],
  // The package manager would rename it.
  ['gitignore', '.gitignore'],
  ['policy.yml', '.github/workflows/policy.yml'],
] as const;

function text(name: string): Promise<Buffer> {
  return readFile(join(PROJECT_TEXTS, name));
}

function filled(template: Buffer, answers: ProjectAnswers): Buffer {
  const { broker, bindBy, registry } = answers;
  const wanted = Object.entries(ROLES).flatMap(([role, { does }]) =>
    holdersOf(answers, role).map((holder) => `| \`${holder}\` | \`${role}\` | ${does} |`),
  );
  const { name, version } = loadPackage();
  const values: Readonly<Record<string, string>> = {
    VERSION: version,
    PACKAGE: `${name}@${version}`,
    REGISTRY: registry,
    BROKER: broker,
    WHOM:
      bindBy === null
        ? 'The identity provider has these groups, and puts them into its tokens:'
        : `The identity provider has no groups in its tokens, so roles are bound by the claim \`${bindBy}\`, which the broker passes on (\`claims.pass\`):`,
    HOLDER: bindBy ?? 'group',
    HOLDERS: wanted.join('\n'),
  };
  return Buffer.from(
    template.toString('utf8').replaceAll(/\{\{([A-Z]+)\}\}/g, (found, name: string) => values[name] ?? found),
  );
}

function json(document: unknown): Buffer {
  return Buffer.from(`${JSON.stringify(document, null, 2)}\n`);
}

function notEmpty(folder: string, present: readonly string[]): CliError {
  const named = present.toSorted().slice(0, 5).join(', ');
  return new CliError(EXIT.error, {
    code: 'folder_not_empty',
    title: 'Nothing was written',
    detail: `${folder} is not empty (${named}). Name an empty folder; or add what is missing with --force, which leaves every file that is there as it is.`,
  });
}

function notWritten(folder: string, error: Error): CliError {
  return new CliError(
    EXIT.error,
    { code: 'not_written', title: 'The project was not written', detail: `${folder}: ${error.message}` },
    { cause: error },
  );
}
