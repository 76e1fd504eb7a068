import type { Command } from 'commander';
import { type CopyProgress, CopyRefused, type CopyReport, copyStore, reopenFile } from '../../store/copy.ts';
import type { Cli, Output } from '../cli.ts';
import { CliError } from '../cli-error.ts';
import { addYesOption, confirmAct, type YesOption } from '../deliberate.ts';
import { EXIT, type ExitCode } from '../output/exit-codes.ts';

interface CopyOptions {
  from: string;
  to: string;
  json?: boolean;
}

/** The steps of the progress that are shown for a table. */
const SHOWN_STEPS = 10;

const REOPENING = {
  says: 'A broker will be able to write to this file again. If one also writes to the copy, the log goes on in two ways, and whoever verifies it will say so.',
  question: 'Use the file again, and give the copy up?',
};

/** `store`: moves an installation to another database. */
export function registerStore(program: Command, cli: Cli): void {
  const store = program.command('store').description('move an installation to another database');
  cli
    .localCommand(
      store,
      'copy',
      'on the stopped broker’s machine: copy its database file to an empty database on a PostgreSQL server',
    )
    .requiredOption('--from <file>', 'the database file, which takes no more writes from then on')
    .requiredOption(
      '--to <address>',
      'the address of the server, whose password PGPASSWORD or ~/.pgpass may hold',
    )
    .action((options: CopyOptions) => cli.runLocal(options, (output) => runCopy(output, options)));
  const reopen = cli.localCommand(
    store,
    'reopen <file>',
    'let a broker use a file again that was copied; the copy is given up',
  );
  addYesOption(reopen).action((file: string, options: YesOption & { json?: boolean }) =>
    cli.runLocal(options, async (output) => {
      await confirmAct(output, REOPENING, options);
      const move = await reopenFile(file).catch(notDone);
      output.print(
        { file, copied_to: move.to },
        () => `A broker can use ${file} again. Drop the copy in ${move.to}.`,
      );
      return EXIT.done;
    }),
  );
}

async function runCopy(output: Output, { from, to }: CopyOptions): Promise<ExitCode> {
  let isStopped = false;
  const disarm = output.io.onStopSignal(() => {
    isStopped = true;
  });
  const show = shownProgress(output);
  try {
    const copied = await copyStore({
      from,
      to,
      clock: output.io.clock,
      onProgress: (progress) => {
        if (isStopped)
          throw new CopyRefused('The copy was stopped by a signal. Run the same command to go on.');
        show(progress);
      },
    }).catch(notDone);
    output.print(copied, () => describe(copied));
    return EXIT.done;
  } finally {
    disarm();
  }
}

/** One line for each tenth of a table, and for the end of each step. */
function shownProgress(output: Output): (progress: CopyProgress) => void {
  let shown = '';
  return ({ step, table, done, total }) => {
    const tenth = total === 0 ? SHOWN_STEPS : Math.floor((SHOWN_STEPS * done) / total);
    const text = `${step === 'copy' ? 'copied' : 'verified'} ${table}: ${(100 * tenth) / SHOWN_STEPS} % of ${total}`;
    if (text !== shown && total > 0) output.note(text);
    shown = text;
  };
}

function describe({ from, to, copied, tables, size, epoch, root }: CopyReport): string {
  const rows = tables.reduce((sum, table) => sum + table.rows, 0);
  return [
    `${to} is a complete copy of ${from}: ${rows} rows in ${tables.length} tables, ${copied} of them written now. Every row was compared.`,
    `The log has ${size} records in epoch ${epoch}, and the root ${root}.`,
    'Now start the broker with that database, and with the master key of the file (master_key_file).',
    `No broker starts on ${from} any more. Keep it until the first backup of the copy, then remove it.`,
  ].join('\n');
}

function notDone(error: Error): never {
  const problem = { code: 'copy_failed', title: 'There is no complete copy', detail: error.message };
  throw new CliError(EXIT.error, problem, { cause: error });
}
