import { type Command, InvalidArgumentError } from 'commander';
import type { Cli, CommonOptions, Output } from '../cli.ts';
import { usageError } from '../cli-error.ts';
import { collect } from '../collect.ts';
import { type LogSource, logAtUrl, logInFolder, logOfBroker } from '../log-source.ts';
import { verifyWith } from '../verify-log.ts';
import { parseDuration } from './wait.ts';

interface VerifyOptions extends CommonOptions {
  key: string;
  since?: string;
  former?: string[];
  witness?: string[];
  quorum?: number;
  witnessAge?: number;
  inputs?: string;
  flags?: string;
  snapshots?: string;
  follow?: boolean;
  silentAfter?: number;
  onFault?: string;
}

/** `verify`: whether a log is what its checkpoint says, and says what can be, without the database. */
export function registerVerify(program: Command, cli: Cli): void {
  cli
    .command(
      program,
      'verify [log]',
      'verify every record of a log with its key: a published folder or address, or the log of the broker',
    )
    .requiredOption('--key <key>', 'the key of the log: a file, or the key itself')
    .option('--since <file>', 'an older checkpoint, which the log must continue')
    .option(
      '--former <folder>',
      'a former log that a restore in this one names, as it was published; repeat the option for several',
      collect,
    )
    .option(
      '--witness <key>',
      'the key of a witness that must have cosigned the log: a file, or the key itself; repeat the option for several',
      collect,
    )
    .option(
      '--quorum <number>',
      'how many of these witnesses must agree (default: more than half of them)',
      parseQuorum,
    )
    .option(
      '--witness-age <duration>',
      'the greatest age of what they have cosigned, such as 30m (default: any)',
      parseDuration,
    )
    .option('--inputs <file>', 'replay each decision with these inputs (audit inputs writes them)')
    .option(
      '--flags <file>',
      'compare the flags that are served: a file with one flag a line (flags KEY --json), or the URL of a broker',
    )
    .option(
      '--snapshots <folder>',
      'compare the snapshots that are published in this folder (publish --to writes it)',
    )
    .option('--follow', 'keep verifying what is recorded, until it is stopped or something is wrong')
    .option(
      '--silent-after <duration>',
      'with --follow: end with the problem log_silent if the address does not answer for so long (default: 15m)',
      parseDuration,
    )
    .option(
      '--on-fault <program>',
      'a program that is run once if something is wrong, without a shell, with the problem as JSON on its standard input',
    )
    .addHelpText(
      'after',
      `
Examples:
  countersign verify /srv/log --key log.key
  countersign verify https://log.example.com --key log.key --since old-checkpoint
  countersign verify /srv/log --key log.key --former /srv/former-log
  countersign verify https://log.example.com --key log.key --witness w1.key --witness w2.key --quorum 2
  countersign verify --key log.key --flags https://countersign.example.com
  countersign verify /srv/log --key log.key --inputs evidence/inputs.jsonl
  countersign verify /srv/log --key log.key --snapshots /srv/snapshots
  countersign verify /srv/log --key log.key --follow --on-fault /usr/local/bin/page-security

Exit status: 0 if every record, tile and signature fits, and the records fit each other; 6 at the first that does not;
5 if something could not be verified although it should be; 8 if too few of the given witnesses have cosigned it.`,
    )
    .action((log: string | undefined, options: VerifyOptions) => {
      const flagsAt = isUrl(options.flags) ? options.flags : undefined;
      if (log === undefined) {
        return cli.run(options, (context) => {
          if (flagsAt !== undefined && flagsAt.replace(/\/+$/, '') !== context.broker)
            throw usageError('--flags is another broker than that of the log. Name the log as well.');
          const source = logOfBroker(context.client);
          return verifyWith(context, { source, name: context.broker, client: context.client, options });
        });
      }
      const sourceFor = ({ io }: Output): LogSource => (isUrl(log) ? logAtUrl(io, log) : logInFolder(log));
      if (flagsAt !== undefined)
        return cli.run({ ...options, broker: flagsAt }, (context) =>
          verifyWith(context, { source: sourceFor(context), name: log, client: context.client, options }),
        );
      return cli.runLocal(options, (output) =>
        verifyWith(output, { source: sourceFor(output), name: log, client: null, options }),
      );
    });
}

function parseQuorum(text: string): number {
  const quorum = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (quorum === 0) throw new InvalidArgumentError('It must be a number of witnesses, 1 or more.');
  return quorum;
}

function isUrl(text: string | undefined): text is string {
  return text !== undefined && /^https?:\/\//.test(text);
}
