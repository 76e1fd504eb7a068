import type { Command } from 'commander';
import { SnapshotFault, type SnapshotFaultCode } from '../../snapshot/fault.ts';
import { type NoteVerifier, parseVerifier } from '../../tree/note.ts';
import { snapshotsOfBroker } from '../broker-snapshots.ts';
import type { Cli, CommonOptions, Context } from '../cli.ts';
import { CliError, usageError } from '../cli-error.ts';
import { collect } from '../collect.ts';
import { describeLog, failOnFault, logOfBroker, readLogKey } from '../log-source.ts';
import { openPlainFiles } from '../log-target.ts';
import { EXIT, type ExitCode } from '../output/exit-codes.ts';
import { printable } from '../output/text.ts';
import { type Published, publishLog } from '../publish-log.ts';
import { describeFault, failOnSnapshotFault, publishSnapshots } from '../publish-snapshots.ts';
import { viewOf } from './verify-snapshot.ts';

/** How often `--follow` looks for new records. */
const FOLLOW_MS = 5000;
/** The same for snapshots, which applications wait for. */
const FOLLOW_SNAPSHOTS_MS = 1000;
/** The pause after a fault that somebody may have to correct. */
const FAULT_MS = 5000;

/** What is evidence of a forgery, or of another log. Every other fault of a snapshot may pass. */
const FINAL_FAULTS: readonly SnapshotFaultCode[] = [
  'signature_invalid',
  'forked',
  'unproven',
  'proof_other',
  'other_epoch',
];

interface PublishOptions extends CommonOptions {
  log?: string;
  to?: string;
  environment?: string;
  headerFile?: string;
  key?: string[];
  follow?: boolean;
}

/** `publish`: the log, or the snapshots of an environment, as plain files. */
export function registerPublish(program: Command, cli: Cli): void {
  cli
    .command(
      program,
      'publish',
      'write the decision log, or the snapshots of an environment, as plain files, for any web server or object store',
    )
    .option('--log <place>', 'the folder, or the address of an object store, that the log is written to')
    .option('--to <place>', 'the same for the snapshots of an environment')
    .option('--environment <environment>', 'the environment whose snapshots are written')
    .option(
      '--header-file <file>',
      'headers for that address, such as one with its credential: a file with <name>: <value> in each line',
    )
    .option(
      '--key <key>',
      'the key of the log: a file, or the key itself (default: the one the broker names); with --to, repeat the option for several',
      collect,
    )
    .option('--follow', 'keep publishing what is new, until it is stopped')
    .addHelpText(
      'after',
      `
Examples:
  countersign publish --log /srv/log
  countersign publish --log /srv/log --key log.key --follow
  countersign publish --log https://bucket.example.com/log --header-file bucket.headers
  countersign publish --to /srv/snapshots --environment production --key log.key --follow

Everything is verified before it is written, and what names the rest is written last: the checkpoint, or latest.json. An interrupted
run continues where it ended, and a longer log or a newer snapshot is never overwritten. An address gets each file by PUT, and is
asked for it by GET. Published records are public: they name flags, namespaces and environments. Published snapshots contain all
targeting rules; with --to, the token is one of audience data:<environment> for all namespaces.`,
    )
    .action((options: PublishOptions) =>
      cli.run(options, (context) => failOnSnapshotFault(() => failOnFault(() => publish(context, options)))),
    );
}

async function publish(context: Context, options: PublishOptions): Promise<ExitCode> {
  const { log, to, environment, key = [] } = options;
  if ((log === undefined) === (to === undefined))
    throw usageError('Name one place: --log for the log, or --to for the snapshots of an environment.');
  if ((to === undefined) !== (environment === undefined))
    throw usageError('--to and --environment belong together: name the place, and what is published there.');
  if (log !== undefined) {
    if (key.length > 1) throw usageError('--key: one key of the log is enough, as the log names the others.');
    return publishTheLog(context, { ...options, log });
  }
  return publishEnvironment(context, { ...options, to: to ?? '', environment: environment ?? '' });
}

async function keysOf({ io, broker }: Context, given: readonly string[]): Promise<NoteVerifier[]> {
  if (given.length > 0) return Promise.all(given.map((key) => readLogKey(key)));
  const { key, former_keys } = await describeLog(io, broker);
  return [key, ...former_keys].map(parseVerifier);
}

async function publishTheLog(
  context: Context,
  { log, headerFile, key = [], follow }: PublishOptions & { log: string },
): Promise<ExitCode> {
  let [pinned] = await keysOf(context, key);
  const target = await openPlainFiles(context.io, {
    place: log,
    headerFile,
    argument: '--log',
    isPublic: true,
  });
  const last = await repeat(context, follow, {
    everyMs: FOLLOW_MS,
    run: async () => {
      const published = await publishLog(logOfBroker(context.client), {
        target,
        pinned: pinned as NoteVerifier,
      });
      pinned = published.key;
      return published;
    },
    says: ({ size }) => `Published ${size} records.`,
    passes: isTransient,
  });
  const { key: signing, ...view } = last;
  context.print({ ...view, key: signing.vkey }, () => describe(last, target.name));
  return EXIT.done;
}

async function publishEnvironment(
  context: Context,
  { to, environment, headerFile, key = [], follow }: PublishOptions & { to: string; environment: string },
): Promise<ExitCode> {
  let keys = await keysOf(context, key);
  const target = await openPlainFiles(context.io, { place: to, headerFile, argument: '--to' });
  const source = snapshotsOfBroker(context, environment);
  const publishOnce = () =>
    publishSnapshots(source, target, { environment, keys, nowMs: context.io.clock() });
  const last = await repeat(context, follow, {
    everyMs: FOLLOW_SNAPSHOTS_MS,
    run: async () => {
      try {
        return await publishOnce();
      } catch (error) {
        if (key.length > 0 || !(error instanceof SnapshotFault) || error.code !== 'unknown_key') throw error;
        // The log was handed over to another key. What lies there may be signed by the former one alone.
        keys = [...(await keysOf(context, [])), ...keys].filter(
          ({ vkey }, at, all) => all.findIndex((each) => each.vkey === vkey) === at,
        );
        return publishOnce();
      }
    },
    says: ({ version }) => `Published version ${version}.`,
    passes: (error) => !(error instanceof SnapshotFault && FINAL_FAULTS.includes(error.code)),
  });
  context.print({ ...viewOf(last), files: last.files }, () => {
    const name = `Version ${last.version} of ${printable(environment)}`;
    return `${name} is in ${printable(target.name)}; ${last.files} files are new.`;
  });
  return EXIT.done;
}

/**
 * Publishes once, or until it is stopped. A broker that restarts ends no `--follow`.
 *
 * @param options.passes whether a fault after the first success may pass; another one ends it
 * @returns what was published last
 */
async function repeat<T extends { files: number }>(
  context: Context,
  follow: boolean | undefined,
  {
    everyMs,
    run,
    says,
    passes,
  }: {
    everyMs: number;
    run: () => Promise<T>;
    says: (published: T) => string;
    passes: (error: unknown) => boolean;
  },
): Promise<T> {
  const { io } = context;
  let last = await run();
  if (follow !== true) return last;
  const stop = new AbortController();
  const forget = io.onStopSignal(() => stop.abort());
  let pauseMs = everyMs;
  try {
    for (;;) {
      await io.sleep(pauseMs, stop.signal).catch(() => undefined);
      if (stop.signal.aborted) return last;
      pauseMs = everyMs;
      try {
        last = await run();
        if (last.files > 0) context.note(says(last));
      } catch (error) {
        if (!passes(error)) throw error;
        context.note(`retrying: ${printable(detailOf(error))}`);
        if (!isTransient(error)) pauseMs = FAULT_MS;
      }
    }
  } finally {
    forget();
  }
}

function isTransient(error: unknown): boolean {
  return error instanceof CliError && error.transient;
}

function detailOf(error: unknown): string {
  if (error instanceof CliError) return error.problem.detail;
  return error instanceof SnapshotFault ? describeFault(error) : String(error);
}

function describe({ origin, size, files }: Published, place: string): string {
  return `${size} records of ${printable(origin)} are in ${printable(place)}; ${files} files are new.`;
}
