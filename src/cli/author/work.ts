import { stat, writeFile } from 'node:fs/promises';
import type { Bundle } from '../../policy/bundle.ts';
import type { CasesOutcome } from '../../policy/cases.ts';
import { dataAdvice } from '../../policy/data-advice.ts';
import type { DataFault } from '../../policy/data-faults.ts';
import { bundleUnusable, readBundleFile } from '../bundle-file.ts';
import type { Output } from '../cli.ts';
import { CliError, usageError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../output/exit-codes.ts';
import { printable } from '../output/text.ts';
import { buildProject } from './build.ts';
import { checkRego, testRego } from './compile.ts';
import { projectAdvice, projectFaults, runOwnCases, trustFaults, tryBundle } from './examine.ts';
import { findOpa, type Opa, opaMissing } from './opa.ts';
import { type Project, readProject } from './project.ts';
import { readSigningKey, signArchive } from './sign.ts';

/** The common options. */
export interface AuthorOptions {
  json?: boolean;
  opa?: string;
}

/** The options of `policy build`. */
export interface BuildCommandOptions extends AuthorOptions {
  output: string;
  module?: string;
  revision?: string;
  sign?: string;
  keyId: string;
}

/**
 * The opa for a project; null if there is none. One that is of no use is an error only where it is needed: for Rego of the
 * project's own, or if the person named it.
 */
async function opaFor(
  { io, note }: Output,
  { origin }: Project,
  { opa }: AuthorOptions,
): Promise<Opa | null> {
  if (opa === undefined && origin === 'none') return null;
  try {
    return await findOpa(opa, io.env);
  } catch (error) {
    if (!(error instanceof CliError) || opa !== undefined || origin === 'own') throw error;
    note(`The Rego is that of this version, and was not checked: ${error.message}`);
    return null;
  }
}

interface CheckReport {
  /** Null if it could not be built. */
  policy_hash: string | null;
  faults: DataFault[];
  warnings: DataFault[];
  /** What became of the Rego. */
  rego: string;
  /** Null if they could not be run. */
  cases: CasesOutcome | null;
}

/** Checks a project or a bundle, and prints what is wrong with it. */
export async function check(output: Output, path: string, options: AuthorOptions): Promise<ExitCode> {
  const isFolder = await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
  const report = isFolder ? await checkProject(output, path, options) : await checkBundle(path);
  output.print(report, () => renderReport(report));
  const isSound = report.faults.length === 0 && report.cases?.failed.length === 0;
  return isSound ? EXIT.done : EXIT.error;
}

async function checkProject(output: Output, path: string, options: AuthorOptions): Promise<CheckReport> {
  const project = await readProject(path);
  const opa = await opaFor(output, project, options);
  const faults = projectFaults(project);
  const rego = await regoReport(project, opa, faults);
  if (faults.length > 0) return { policy_hash: null, faults, warnings: [], rego, cases: null };
  const warnings = projectAdvice(project);
  const { bundle } = await buildProject(project, { opa, note: output.note });
  return { ...(await outcomeOf(bundle)), warnings, rego };
}

async function checkBundle(path: string): Promise<CheckReport> {
  const bundle = await readBundleFile(path);
  const warnings = dataAdvice(bundle.data);
  const faults = trustFaults(bundle.broker);
  const rego = 'compiled in the bundle';
  if (faults.length > 0) return { policy_hash: bundle.hash, faults, warnings, rego, cases: null };
  return { ...(await outcomeOf(bundle)), warnings, rego };
}

async function outcomeOf(bundle: Bundle): Promise<Pick<CheckReport, 'policy_hash' | 'faults' | 'cases'>> {
  const fault = await tryBundle(bundle).then(
    () => null,
    (error: Error) => error.message,
  );
  return fault === null
    ? { policy_hash: bundle.hash, faults: [], cases: await runOwnCases(bundle) }
    : { policy_hash: bundle.hash, faults: [{ pointer: '', detail: fault }], cases: null };
}

/** What became of the Rego; adds its faults. */
async function regoReport(project: Project, opa: Opa | null, faults: DataFault[]): Promise<string> {
  if (project.origin === 'none') return 'none; the module of this version is used';
  if (opa === null) {
    if (project.origin === 'shipped') return 'that of this version; not compiled';
    faults.push({ pointer: '', detail: opaMissing('The Rego is your own, and checking it').message });
    return 'your own; not checked';
  }
  try {
    await checkRego(project, opa);
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    faults.push({ pointer: '', detail: error.message });
  }
  return project.origin === 'shipped'
    ? `that of this version; checked with opa ${opa.version}`
    : `your own; checked with opa ${opa.version}`;
}

function renderReport({ policy_hash, faults, warnings, rego, cases }: CheckReport): string {
  const line = (kind: string) => (fault: DataFault) =>
    `${kind}  ${printable(fault.pointer === '' ? fault.detail : `${fault.pointer}: ${fault.detail}`)}`;
  return [
    ...faults.map(line('fault')),
    ...warnings.map(line('advice')),
    `rego    ${printable(rego)}`,
    ...(cases === null ? ['cases   not run'] : renderCases(cases)),
    ...(policy_hash === null ? [] : [`policy  ${policy_hash}`]),
  ].join('\n');
}

function renderCases({ passed, failed }: CasesOutcome): string[] {
  return [
    ...failed.map(({ name, detail }) => `failed  ${printable(name)}: ${printable(detail)}`),
    `cases   ${passed} passed, ${failed.length} failed`,
  ];
}

/** Runs the cases and the Rego tests of a project. */
export async function test(output: Output, folder: string, options: AuthorOptions): Promise<ExitCode> {
  const { note, print } = output;
  const project = await readProject(folder);
  const opa = await opaFor(output, project, options);
  const { bundle } = await buildProject(project, { opa, note });
  const cases = await runOwnCases(bundle);
  const isRego = project.origin !== 'none' && project.hasTests;
  if (isRego && opa === null)
    note('The tests in Rego were not run: opa is not installed. The decision cases were.');
  if (isRego && opa !== null) note(`Running the tests in Rego with opa ${opa.version}.`);
  const rego = isRego && opa !== null ? await testRego(project, opa) : null;
  print({ cases, rego: rego === null ? null : { passed: rego } }, () =>
    [...renderCases(cases), ...(rego === null ? [] : [`rego    ${rego} passed`])].join('\n'),
  );
  return cases.failed.length === 0 ? EXIT.done : EXIT.error;
}

/** Builds the bundle of a project. */
export async function build(output: Output, folder: string, options: BuildCommandOptions): Promise<ExitCode> {
  const { note, print } = output;
  if (options.output === '') throw usageError('Name the file with --output FILE.');
  const key = options.sign === undefined ? null : await readSigningKey(options.sign, options.keyId);
  const project = await readProject(folder);
  const opa = await opaFor(output, project, options);
  const { bundle, module } = await buildProject(project, {
    opa,
    note,
    module: options.module,
    revision: options.revision,
  });
  await tryBundle(bundle).catch((error: unknown) => {
    throw bundleUnusable(folder, error);
  });
  const archive = key === null ? bundle.archive : await signArchive(bundle.archive, key);
  try {
    await writeFile(options.output, archive);
  } catch (error) {
    throw new CliError(
      EXIT.error,
      { code: 'not_saved', title: 'The bundle was not saved', detail: (error as Error).message },
      { cause: error },
    );
  }
  const built = {
    file: options.output,
    policy_hash: bundle.hash,
    module,
    bytes: archive.length,
    signed: key !== null,
  };
  print(
    built,
    () =>
      `built ${printable(options.output)}: ${bundle.hash} (module: ${module}${key === null ? '' : ', signed'})`,
  );
  return EXIT.done;
}
