import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { type Command, InvalidArgumentError } from 'commander';
import { LogFault } from '../../tree/fault.ts';
import type { NoteVerifier } from '../../tree/note.ts';
import { serveWitness } from '../../witness/serve-witness.ts';
import { openWitness } from '../../witness/witness.ts';
import type { Cli, Output } from '../cli.ts';
import { CliError, usageError } from '../cli-error.ts';
import { collect } from '../collect.ts';
import { readLogKey } from '../log-source.ts';
import { EXIT, type ExitCode } from '../output/exit-codes.ts';
import { printable } from '../output/text.ts';

const DEFAULT_ADDRESS = { host: '127.0.0.1', port: 8490 };

interface WitnessOptions {
  json?: boolean;
  name: string;
  state: string;
  log: string[];
  listen?: { host: string; port: number };
}

/** `witness`: cosigns the checkpoints of logs. */
export function registerWitness(program: Command, cli: Cli): void {
  cli
    .localCommand(program, 'witness', 'run a witness, which cosigns the checkpoints of logs that only grow')
    .requiredOption('--name <name>', 'the name of its key, like an address without a scheme')
    .requiredOption('--state <folder>', 'where it keeps its key, and what it has cosigned')
    .requiredOption(
      '--log <key>',
      'the key of a log that it knows: a file, or the key itself; repeat the option for several',
      collect,
    )
    .option('--listen <address>', 'the address to listen on (default: 127.0.0.1:8490)', parseAddress)
    .addHelpText(
      'after',
      `
Examples:
  countersign witness --name witness.example/w1 --state /var/lib/witness --log log.key

It belongs to somebody else than the broker, on another machine (C2SP tlog-witness). The first start makes its key, and each
start prints the public part, which the configuration of the broker names in witnesses. Never copy the folder: a witness that goes
back to an older state could cosign another history.`,
    )
    .action((options: WitnessOptions) => cli.runLocal(options, (output) => run(output, options)));
}

async function run(
  output: Output,
  { name, state, log, listen = DEFAULT_ADDRESS }: WitnessOptions,
): Promise<ExitCode> {
  const { io } = output;
  const logs: NoteVerifier[] = [];
  for (const given of log) logs.push(await readLogKey(given));
  const witness = await openWitness({ folder: state, name, logs, clock: io.clock }).catch(
    (error: unknown) => {
      if (error instanceof LogFault) throw usageError(`--name: ${error.message}`);
      throw failed(error as Error);
    },
  );
  const server = serveWitness(witness, (error) => output.note(`the witness cannot answer: ${error}`));
  try {
    server.listen(listen.port, listen.host);
    await once(server, 'listening').catch((error: unknown) => {
      throw failed(error as Error);
    });
    const { address, port, family } = server.address() as AddressInfo;
    const url = `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
    const known = witness.logs();
    output.print({ key: witness.vkey, url, logs: known }, () =>
      [witness.vkey, ...known.map(describe), `The witness answers at ${url}.`].join('\n'),
    );
    await new Promise<void>((resolve) => io.onStopSignal(resolve));
    server.close();
    server.closeAllConnections();
    return EXIT.done;
  } finally {
    witness.close();
  }
}

function describe({ origin, size }: { origin: string; size: number | null }): string {
  return size === null
    ? `${printable(origin)}: NOTHING COSIGNED YET. It will believe the first checkpoint that it is sent. If it has cosigned this log before, stop it: its state was lost.`
    : `${printable(origin)}: it has cosigned ${size} records.`;
}

function failed(error: Error): CliError {
  const problem = { code: 'start_failed', title: 'The witness was not started', detail: error.message };
  return new CliError(EXIT.error, problem, { cause: error });
}

function parseAddress(text: string): { host: string; port: number } {
  const [, host = '', port = ''] = /^(.+):(\d{1,5})$/.exec(text) ?? [];
  if (host === '' || Number(port) > 65_535) throw new InvalidArgumentError('It must be a host and a port.');
  return { host: host.replace(/^\[(.*)\]$/, '$1'), port: Number(port) };
}
