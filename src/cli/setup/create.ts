import { access, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { buildProject } from '../author/build.ts';
import { createProject } from '../author/init.ts';
import { readProject } from '../author/project.ts';
import { CliError } from '../cli-error.ts';
import { makeNamedFolder } from '../make-folder.ts';
import { EXIT } from '../output/exit-codes.ts';
import { configurationText, type SetupAnswers, serviceText, trialTexts } from './texts.ts';

/** What became of a new set-up. */
export interface SetupCreated {
  folder: string;
  written: string[];
  /** Files that were there, and stay as they are. */
  kept: string[];
  policy_hash: string;
  /** The files with a proposal that one person can apply alone, and one that is held; null if no environment is of that kind. */
  trial: { alone: string | null; held: string | null };
}

/** The folder of the policy project. */
const POLICY = 'policy';
const BUNDLE = 'bundle.tar.gz';

/**
 * Writes a set-up: configuration, policy project, bundle, service file, and two proposals to try it with.
 *
 * @param options.force whether the folder may have such files; none is overwritten
 * @throws CliError `folder_not_empty`, with nothing written
 */
export async function createSetup(
  folder: string,
  answers: SetupAnswers,
  { force }: { force: boolean },
): Promise<SetupCreated> {
  const trial = trialTexts(answers);
  const texts: readonly (readonly [string, string])[] = [
    ['countersign.yaml', configurationText(answers, BUNDLE)],
    ['countersign.service', serviceText(resolve(folder))],
    ...trial.files,
  ];
  if (!force) await assertFree(folder, [...texts.map(([path]) => path), POLICY, BUNDLE]);
  await makeNamedFolder(folder);
  const project = join(folder, POLICY);
  const policy = await createProject(
    project,
    { ...answers, broker: answers.url, repository: null, aliases: new Map() },
    { withRego: false, force },
  );
  const { bundle } = await buildProject(await readProject(project), { opa: null, note: () => undefined });
  const created: SetupCreated = {
    folder: resolve(folder),
    written: policy.written.length === 0 ? [] : [`${POLICY}/ (${policy.written.length} files)`],
    kept: policy.kept.map((path) => join(POLICY, path)),
    policy_hash: bundle.hash,
    trial: { alone: trial.alone, held: trial.held },
  };
  for (const [path, content] of [...texts, [BUNDLE, bundle.archive] as const]) {
    await put(folder, path, Buffer.from(content), created);
  }
  return created;
}

async function put(folder: string, path: string, content: Buffer, created: SetupCreated): Promise<void> {
  const file = join(folder, path);
  try {
    // Never replaces a file.
    await writeFile(file, content, { flag: 'wx' });
    created.written.push(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    if (!(await readFile(file)).equals(content)) created.kept.push(path);
  }
}

async function assertFree(folder: string, paths: readonly string[]): Promise<void> {
  const present: string[] = [];
  for (const path of paths) {
    const isThere = await access(join(folder, path)).then(
      () => true,
      () => false,
    );
    if (isThere) present.push(path);
  }
  if (present.length === 0) return;
  throw new CliError(EXIT.error, {
    code: 'folder_not_empty',
    title: 'Nothing was written',
    detail: `${folder} has ${present.join(', ')} already. Name another folder; or add what is missing with --force, which leaves every file that is there as it is.`,
  });
}
