import { existsSync, statSync } from 'node:fs';
import type { Command } from 'commander';
import { BrokerError } from '../../errors.ts';
import { DAY_MS } from '../../moment.ts';
import { operatorPrincipal } from '../../principal.ts';
import { PROBLEMS } from '../../problems.ts';
import { newId } from '../../random.ts';
import { type MovedInputs, moveInputs } from '../../retention/archive-inputs.ts';
import { deleteOldEvaluations } from '../../retention/delete-evaluations.ts';
import { type Old, previewRetention } from '../../retention/preview.ts';
import type { RetentionDeps } from '../../retention/record.ts';
import { openStore } from '../../store/database.ts';
import { isAddress, shownDatabase } from '../../store/database-address.ts';
import type { Cli, Output } from '../cli.ts';
import { CliError, usageError } from '../cli-error.ts';
import { readConfig } from '../local-config.ts';
import { EXIT, type ExitCode } from '../output/exit-codes.ts';

interface ArchiveOptions {
  config?: string;
  olderThan?: string;
  evaluationsOlderThan?: string;
  dryRun?: boolean;
  json?: boolean;
}

/** What was taken out of the database. */
interface Archived {
  folder: string | null;
  files: MovedInputs[];
  inputs: number;
  evaluations: number;
}

const DAYS = /^([1-9]\d{0,4})d$/;

/** `archive`: moves old inputs to archive files, and deletes old counts of evaluations. */
export function registerArchive(program: Command, cli: Cli): void {
  cli
    .localCommand(
      program,
      'archive',
      'on the broker’s machine: move the inputs of old decisions to archive files, and delete old counts of evaluations',
    )
    .option('--config <file>', 'the configuration file of the broker, as for serve')
    .option('--older-than <days>', 'inputs older than this, such as 90d (default: retention.inputs_days)')
    .option(
      '--evaluations-older-than <days>',
      'counts of evaluations older than this (default: retention.evaluations_days)',
    )
    .option('--dry-run', 'only say what there is')
    .action((options: ArchiveOptions) => cli.runLocal(options, (output) => runArchive(output, options)));
}

async function runArchive(output: Output, options: ArchiveOptions): Promise<ExitCode> {
  const { io } = output;
  const { database, retention } = readConfig(io, options.config);
  const folder = retention.archive_folder ?? null;
  const ages = {
    inputs: daysOf('--older-than', options.olderThan) ?? retention.inputs_days,
    evaluations:
      daysOf('--evaluations-older-than', options.evaluationsOlderThan) ?? retention.evaluations_days,
  };
  if (ages.inputs === undefined && ages.evaluations === undefined)
    throw usageError('Nothing says what is old: give --older-than 90d, or set retention.inputs_days.');
  if (ages.inputs !== undefined) assertFolder(folder);
  if (!isAddress(database) && !existsSync(database))
    throw usageError(`The database ${database} does not exist.`);
  const before = (days: number | undefined) => (days === undefined ? null : io.clock() - days * DAY_MS);
  const limits = { inputs: before(ages.inputs), evaluations: before(ages.evaluations) };
  let isStopped = false;
  const disarm = io.onStopSignal(() => {
    isStopped = true;
  });
  try {
    const store = await openStore({ file: database, clock: io.clock });
    try {
      const old = await previewRetention(store, limits);
      if (options.dryRun === true) {
        output.print(old, () => describeOld(old, shownDatabase(database)));
        return EXIT.done;
      }
      const deps = { store, clock: io.clock, newId, principal: operatorPrincipal };
      const archived = await takeOut(output, deps, { limits, folder, old, isStopped: () => isStopped });
      output.print(archived, () => describe(archived, isStopped));
      return isStopped ? EXIT.error : EXIT.done;
    } finally {
      await store.close();
    }
  } catch (error) {
    throw error instanceof CliError ? error : notDone(error as Error);
  } finally {
    disarm();
  }
}

async function takeOut(
  output: Output,
  deps: RetentionDeps,
  order: {
    limits: { inputs: number | null; evaluations: number | null };
    folder: string | null;
    old: Old;
    isStopped: () => boolean;
  },
): Promise<Archived> {
  const { limits, folder, old, isStopped } = order;
  const done: Archived = { folder, files: [], inputs: 0, evaluations: 0 };
  while (limits.inputs !== null && folder !== null && !isStopped()) {
    const moved = await moveInputs(deps, { before_ms: limits.inputs, folder });
    if (moved === null) break;
    done.files.push(moved);
    done.inputs += moved.count;
    output.note(`moved ${done.inputs} of ${old.inputs} inputs`);
  }
  while (limits.evaluations !== null && !isStopped()) {
    const deleted = await deleteOldEvaluations(deps, { before_ms: limits.evaluations });
    if (deleted === null) break;
    done.evaluations += deleted.count;
    output.note(`deleted ${done.evaluations} of ${old.evaluations} counts of evaluations`);
  }
  return done;
}

function daysOf(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const days = DAYS.exec(text)?.[1];
  if (days === undefined) throw usageError(`${option}: "${text}" is no number of days, such as 90d.`);
  return Number(days);
}

/** @throws CliError `usage` if there is no folder for the archives */
function assertFolder(folder: string | null): void {
  if (folder === null)
    throw usageError(
      'The configuration names no folder for the archives: set retention.archive_folder, so that the broker can read them.',
    );
  if (!(statSync(folder, { throwIfNoEntry: false })?.isDirectory() ?? false))
    throw usageError(`${folder} (retention.archive_folder) is not a directory: create it, or mount it.`);
}

function describeOld({ inputs, characters, up_to, evaluations }: Old, database: string): string {
  return [
    inputs === 0
      ? `${database} has no inputs that old.`
      : `${database} has ${inputs} inputs that old, of the records up to place ${up_to}: ${characters} characters.`,
    `${evaluations} counts of evaluations are that old.`,
    'Nothing was changed.',
  ].join('\n');
}

function describe({ folder, files, inputs, evaluations }: Archived, isStopped: boolean): string {
  return [
    ...(folder === null || files.length === 0
      ? [`${inputs} inputs were moved.`]
      : [
          `${inputs} inputs were moved to ${folder}:`,
          ...files.map(({ file, bytes }) => `  ${file}  ${bytes} bytes`),
          'Back the files up. Their keys are in the database, and only there.',
        ]),
    `${evaluations} counts of evaluations were deleted.`,
    ...(isStopped ? ['It was stopped by a signal. Run the same command to go on.'] : []),
  ].join('\n');
}

function notDone(error: Error): CliError {
  const problem = { code: 'archive_failed', title: 'The archiving has ended early', detail: error.message };
  if (error instanceof BrokerError)
    Object.assign(problem, { code: error.code, title: PROBLEMS[error.code].title });
  return new CliError(EXIT.error, problem, { cause: error });
}
