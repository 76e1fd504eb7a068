import type { Command } from 'commander';
import { verifySignedLog } from '../../tree/verify-signed-log.ts';
import type { Cli, CommonOptions, Output } from '../cli.ts';
import {
  failOnFault,
  type LogSource,
  logAtUrl,
  logInFolder,
  logOfBroker,
  readLogKey,
  readText,
} from '../log-source.ts';
import { EXIT, type ExitCode } from '../output/exit-codes.ts';
import { printable } from '../output/text.ts';

/** A note of the progress after so many records. */
const NOTE_EVERY = 25_600;

interface VerifyOptions extends CommonOptions {
  key: string;
  since?: string;
}

/** `verify`: whether a log is what its checkpoint says, without the database. */
export function registerVerify(program: Command, cli: Cli): void {
  cli
    .command(
      program,
      'verify [log]',
      'verify every record of a log with its key: a published folder or address, or the log of the broker',
    )
    .requiredOption('--key <key>', 'the key of the log: a file, or the key itself')
    .option('--since <file>', 'an older checkpoint, which the log must continue')
    .addHelpText(
      'after',
      `
Examples:
  countersign verify /srv/log --key log.key
  countersign verify https://log.example.com --key log.key --since old-checkpoint
  countersign verify --key log.key

Exit status: 0 if every record, tile and signature fits, 6 at the first that does not.`,
    )
    .action((log: string | undefined, options: VerifyOptions) => {
      if (log === undefined) {
        return cli.run(options, (context) =>
          verify(context, { source: logOfBroker(context.client), name: context.broker, options }),
        );
      }
      return cli.runLocal(options, (output) => {
        const source = /^https?:\/\//.test(log) ? logAtUrl(output.io, log) : logInFolder(log);
        return verify(output, { source, name: log, options });
      });
    });
}

async function verify(
  output: Output,
  { source, name, options }: { source: LogSource; name: string; options: VerifyOptions },
): Promise<ExitCode> {
  const pinned = await readLogKey(options.key);
  const older = options.since === undefined ? undefined : await readText(options.since);
  return failOnFault(async () => {
    const {
      checkpoint,
      older: since,
      keys,
    } = await verifySignedLog({
      note: String(await source.read('checkpoint')),
      pinned,
      older,
      read: (path) => source.read(path),
      leaves: (leaves, index) => {
        const done = index + leaves.length;
        if (done % NOTE_EVERY === 0) output.note(`Verified ${done} records.`);
      },
    });
    const { origin, size, root } = checkpoint;
    const view = {
      origin,
      size,
      root: root.toString('base64'),
      since: since?.size ?? null,
      keys: keys.map(({ verifier, from }) => ({ key: verifier.vkey, from })),
    };
    const [key] = keys.toReversed();
    output.print(view, () =>
      [
        `${printable(name)} is valid: ${size} records of the log ${printable(origin)}, each in the tree that was signed.`,
        ...(since === undefined ? [] : [`It continues the checkpoint with ${since.size} records.`]),
        ...(key === undefined || key.verifier.vkey === pinned.vkey
          ? []
          : [
              `Its key was rotated, by the record at place ${key.from}. Keep the new one: ${printable(key.verifier.vkey)}`,
            ]),
      ].join('\n'),
    );
    return EXIT.done;
  });
}
