import type { Command } from 'commander';
import { BackupRefused, backUp } from '../../store/backup.ts';
import { isAddress, shownDatabase } from '../../store/database-address.ts';
import type { Cli, Output } from '../cli.ts';
import { CliError } from '../cli-error.ts';
import { readConfig } from '../local-config.ts';
import { EXIT, type ExitCode } from '../output/exit-codes.ts';
import { moment } from '../output/text.ts';

interface BackupOptions {
  config?: string;
  force?: boolean;
  json?: boolean;
}

/** The steps of the progress that are shown. */
const SHOWN_STEPS = 10;

/** `backup`: a verified copy of the database, while the broker runs. */
export function registerBackup(program: Command, cli: Cli): void {
  cli
    .localCommand(
      program,
      'backup <file>',
      'on the broker’s machine: copy the database into a file while the broker runs, and verify the copy',
    )
    .option('--config <file>', 'the configuration file of the broker, as for serve')
    .option('--force', 'replace the file if it exists')
    .action((file: string, options: BackupOptions) =>
      cli.runLocal(options, (output) => runBackup(output, file, options)),
    );
}

async function runBackup(output: Output, file: string, options: BackupOptions): Promise<ExitCode> {
  const { io } = output;
  const { database } = readConfig(io, options.config);
  if (isAddress(database)) {
    const detail = `${shownDatabase(database)} is on a PostgreSQL server: back it up with pg_dump or pg_basebackup.`;
    throw new CliError(EXIT.error, { code: 'backup_failed', title: 'No backup was made', detail });
  }
  let isStopped = false;
  const disarm = io.onStopSignal(() => {
    isStopped = true;
  });
  let shown = 0;
  const onProgress = (part: number) => {
    if (isStopped) throw new BackupRefused('The backup was stopped by a signal.');
    const step = Math.floor(part * SHOWN_STEPS);
    if (step > shown && step < SHOWN_STEPS) output.note(`copied ${(100 * step) / SHOWN_STEPS} %`);
    if (step > shown && step === SHOWN_STEPS) output.note('copied; the copy is being verified');
    shown = Math.max(shown, step);
  };
  try {
    const made = await backUp({ database, file, replaces: options.force === true, onProgress });
    output.print(
      made,
      () =>
        `${made.file} is a verified copy of ${database}: ${made.bytes} bytes, ${made.size} records, the last of ${moment(made.last_ms)}.`,
    );
    return EXIT.done;
  } catch (error) {
    if (!(error instanceof BackupRefused)) throw error;
    const problem = { code: 'backup_failed', title: 'No backup was made', detail: error.message };
    throw new CliError(EXIT.error, problem, { cause: error });
  } finally {
    disarm();
  }
}
