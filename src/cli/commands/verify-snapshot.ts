import { stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { LATEST_FILE, type ProvedPointer } from '../../snapshot/latest.ts';
import type { NoteVerifier } from '../../tree/note.ts';
import type { Cli, Output } from '../cli.ts';
import { usageError } from '../cli-error.ts';
import { collect } from '../collect.ts';
import type { Io } from '../io.ts';
import { readLogKey } from '../log-source.ts';
import { isUrl, openPlainFiles } from '../log-target.ts';
import { EXIT, type ExitCode } from '../output/exit-codes.ts';
import { moment, printable } from '../output/text.ts';
import { MOMENT_HELP, parseMoment } from '../parse-moment.ts';
import {
  failOnSnapshotFault,
  readSnapshot,
  type SnapshotFiles,
  type VerifiedSnapshot,
} from '../publish-snapshots.ts';

interface VerifyOptions {
  json?: boolean;
  key: string[];
  environment?: string;
  after?: number;
  at?: string;
  headerFile?: string;
}

/** `verify-snapshot`: whether a published snapshot may be served. */
export function registerVerifySnapshot(program: Command, cli: Cli): void {
  cli
    .localCommand(
      program,
      'verify-snapshot <place>',
      'verify the newest published snapshot of an environment: a folder, an address, or the file with its pointer',
    )
    .requiredOption(
      '--key <key>',
      'a key of the log: a file, or the key itself; repeat the option for several',
      collect,
    )
    .option('--environment <environment>', 'the environment (default: the name of the folder of the file)')
    .option('--after <version>', 'a version of this epoch that the snapshot must not be behind', parseVersion)
    .option('--at <time>', `the time at which it must be valid (default: now): ${MOMENT_HELP}`)
    .option('--header-file <file>', 'headers for the address: a file with <name>: <value> in each line')
    .addHelpText(
      'after',
      `
Examples:
  countersign verify-snapshot /srv/snapshots --environment production --key log.key
  countersign verify-snapshot https://cdn.example.com/snapshots/production/${LATEST_FILE} --key log.key --after 117
  countersign verify-snapshot archive/production/${LATEST_FILE} --key log.key --at 2026-11-30

Verified are the signature of the pointer, the environment, the name and the epoch of the log, that the pointer has not expired and is
not behind, the proof that the log has its record, and every byte of the flags.

Exit status: 0 if it may be served; 6 if not. The answer says why, with a code in \`fault\`.`,
    )
    .action((place: string, options: VerifyOptions) =>
      cli.runLocal(options, (output) => failOnSnapshotFault(() => verify(output, place, options))),
    );
}

async function verify(output: Output, place: string, options: VerifyOptions): Promise<ExitCode> {
  const { io } = output;
  const [first, ...others] = await Promise.all(options.key.map((key) => readLogKey(key)));
  if (first === undefined) throw usageError('--key: name the key of the log.');
  const { files, environment, folder } = await locate(io, place, options);
  const snapshot = await readSnapshot(files, {
    ...{ environment, folder },
    keys: [first, ...others],
    nowMs: options.at === undefined ? io.clock() : parseMoment('--at', options.at),
    after: options.after === undefined ? undefined : { epoch: epochOf(first), version: options.after },
  });
  output.print(viewOf(snapshot), () => describe(snapshot, place));
  return EXIT.done;
}

/** Finds the files: below a place by the environment, or beside the file with the pointer. */
async function locate(
  io: Io,
  place: string,
  { environment, headerFile }: VerifyOptions,
): Promise<{ files: SnapshotFiles; environment: string; folder: string }> {
  const open = (name: string) => openPlainFiles(io, { place: name, headerFile, argument: 'the place' });
  const pointer = await pointerIn(place);
  if (pointer !== null) {
    const { folder, named } = pointer;
    return { files: await open(folder), environment: environment ?? named, folder: '' };
  }
  if (environment === undefined)
    throw usageError(`--environment: say which one, or name the file ${LATEST_FILE} itself.`);
  return { files: await open(place), environment, folder: `${environment}/` };
}

/** The folder of a place that is, or has, the file with a pointer; null if that is below it. */
async function pointerIn(place: string): Promise<{ folder: string; named: string } | null> {
  if (isUrl(place)) {
    const url = URL.canParse(place) ? new URL(place) : null;
    if (url?.pathname.endsWith(`/${LATEST_FILE}`) !== true) return null;
    url.pathname = url.pathname.slice(0, -`/${LATEST_FILE}`.length);
    return { folder: url.href, named: decodeURIComponent(basename(url.pathname)) };
  }
  const isFile = async (path: string) => (await stat(path).catch(() => null))?.isFile() === true;
  const file = (await isFile(place)) ? place : join(place, LATEST_FILE);
  if (!(await isFile(file))) return null;
  if (basename(file) !== LATEST_FILE)
    throw usageError(`${file}: name the file ${LATEST_FILE}, which has the pointer.`);
  const folder = dirname(resolve(file));
  return { folder, named: basename(folder) };
}

function parseVersion(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('It must be the version of an environment.');
  return Number(text);
}

/** The epoch of a log is the last part of its name. */
function epochOf({ name }: NoteVerifier): number {
  return Number(/\/(\d+)$/.exec(name)?.[1] ?? 1);
}

/** A snapshot as a document. Times are in milliseconds, as everywhere else. */
export function viewOf<Pointer extends ProvedPointer>({ iat, exp, ...snapshot }: Pointer) {
  return { ...snapshot, issued_ms: iat * 1000, expires_ms: exp * 1000 };
}

function describe(snapshot: VerifiedSnapshot, place: string): string {
  const { environment, version, digest, flags, origin, size, place: at, exp } = snapshot;
  return [
    `Version ${version} of ${printable(environment)} in ${printable(place)} is valid, with ${flags} flags.`,
    `  digest  ${digest}`,
    `  log     ${printable(origin)}: record ${at} publishes it, and it reflects the ${size} records before`,
    `  until   ${moment(exp * 1000)}`,
  ].join('\n');
}
