import type { Command } from 'commander';
import { parseVerifier } from '../../tree/note.ts';
import type { Cli, CommonOptions, Context } from '../cli.ts';
import { CliError } from '../cli-error.ts';
import { describeLog, failOnFault, logOfBroker, readLogKey } from '../log-source.ts';
import { openTarget } from '../log-target.ts';
import { EXIT, type ExitCode } from '../output/exit-codes.ts';
import { printable } from '../output/text.ts';
import { type Published, publishLog } from '../publish-log.ts';

/** How often `--follow` looks for new records. */
const FOLLOW_MS = 5000;

interface PublishOptions extends CommonOptions {
  log: string;
  headerFile?: string;
  key?: string;
  follow?: boolean;
}

/** `publish`: the log as plain files. */
export function registerPublish(program: Command, cli: Cli): void {
  cli
    .command(program, 'publish', 'write the decision log as plain files, for any web server or object store')
    .requiredOption(
      '--log <place>',
      'the folder, or the address of an object store, that the log is written to',
    )
    .option(
      '--header-file <file>',
      'headers for that address, such as one with its credential: a file with <name>: <value> in each line',
    )
    .option(
      '--key <key>',
      'the key of the log: a file, or the key itself (default: the one the broker names)',
    )
    .option('--follow', 'keep publishing what is recorded, until it is stopped')
    .addHelpText(
      'after',
      `
Examples:
  countersign publish --log /srv/log
  countersign publish --log /srv/log --key log.key --follow
  countersign publish --log https://bucket.example.com/log --header-file bucket.headers

Everything is verified before it is written, and the checkpoint is written last. An interrupted run continues where it
ended, and a longer log is never overwritten. An address gets each file by PUT, and is asked for it by GET. Published records are public: they name flags, namespaces and environments.`,
    )
    .action((options: PublishOptions) =>
      cli.run(options, (context) => failOnFault(() => publish(context, options))),
    );
}

async function publish(context: Context, options: PublishOptions): Promise<ExitCode> {
  const { client, io } = context;
  let pinned =
    options.key === undefined
      ? parseVerifier((await describeLog(io, context.broker)).key)
      : await readLogKey(options.key);
  const target = await openTarget(io, options.log, options.headerFile);
  const run = async () => {
    const published = await publishLog(logOfBroker(client), { target, pinned });
    pinned = published.key;
    return published;
  };
  let last = await run();
  if (options.follow === true) {
    const stop = new AbortController();
    const forget = io.onStopSignal(() => stop.abort());
    try {
      while (await pause(context, stop.signal)) {
        last = (await unlessTransient(context, run)) ?? last;
      }
    } finally {
      forget();
    }
  }
  const { key, ...view } = last;
  context.print({ ...view, key: key.vkey }, () => describe(last, target.name));
  return EXIT.done;
}

/** @returns false once it is stopped */
async function pause({ io }: Context, signal: AbortSignal): Promise<boolean> {
  await io.sleep(FOLLOW_MS, signal).catch(() => undefined);
  return !signal.aborted;
}

/** A broker that restarts ends no `--follow`. */
async function unlessTransient(context: Context, run: () => Promise<Published>): Promise<Published | null> {
  try {
    const published = await run();
    if (published.files > 0) context.note(`Published ${published.size} records.`);
    return published;
  } catch (error) {
    if (!(error instanceof CliError) || !error.transient) throw error;
    context.note(`retrying: ${printable(error.problem.detail)}`);
    return null;
  }
}

function describe({ origin, size, files }: Published, place: string): string {
  return `${size} records of ${printable(origin)} are in ${printable(place)}; ${files} files are new.`;
}
