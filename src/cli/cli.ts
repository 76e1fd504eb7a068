import { type Command, Option } from 'commander';
import { isFetchable } from '../issuers/issuers.ts';
import { createTokenSource } from './auth/access-token.ts';
import { type Credentials, createCredentials } from './auth/credentials.ts';
import { createSignInAgain, STEP_UPS } from './auth/step-up.ts';
import { usageError } from './cli-error.ts';
import { type Client, createClient } from './client.ts';
import type { Io } from './io.ts';
import { EXIT, type ExitCode } from './output/exit-codes.ts';
import { printable, shellWord } from './output/text.ts';

/** Where a broker listens when nothing names another place. */
const DEFAULT_BROKER = 'http://127.0.0.1:8480';

/** The options that each command with a broker has. */
export interface CommonOptions {
  broker?: string;
  json?: boolean;
  /** One of {@link STEP_UPS}. */
  stepUp?: string;
}

/** How a command answers. */
export interface Output {
  io: Io;
  json: boolean;
  /** Prints the answer: the document with `--json`, else the text for people. */
  print(document: unknown, human: () => string): void;
  /** Tells the person something besides the answer. */
  note(line: string): void;
}

/** What one run of a command at a broker works with. */
export interface Context extends Output {
  client: Client;
  credentials: Credentials;
  /** The broker's URL, without a slash at the end. */
  broker: string;
  /** A command line that does what `words` say, at the same broker. */
  commandLine(...words: string[]): string;
}

/** What the commands are registered with. A command runs once, and what it returns becomes the exit status. */
export interface Cli {
  io: Io;
  /** Adds a command that has `--json`. */
  localCommand(parent: Command, name: string, summary: string): Command;
  /** Adds a command that has `--json`, `--broker` and `--step-up`. */
  command(parent: Command, name: string, summary: string): Command;
  /** Runs a command that needs no broker. */
  runLocal(options: { json?: boolean }, work: (output: Output) => Promise<ExitCode>): Promise<void>;
  /** Runs a command at a broker. */
  run(options: CommonOptions, work: (context: Context) => Promise<ExitCode>): Promise<void>;
  /** The exit status of the command that ran. */
  exitCode(): ExitCode;
  /** As {@link Context.commandLine}, also for a command that failed. */
  commandLine(...words: string[]): string;
}

/** Creates what the commands are registered with. */
export function createCli(io: Io): Cli {
  let exitCode: ExitCode = EXIT.done;
  let atBroker: readonly string[] = [];
  const localCommand: Cli['localCommand'] = (parent, name, summary) =>
    parent.command(name).description(summary).option('--json', 'print exactly one JSON document');
  const commandLine: Cli['commandLine'] = (...words) =>
    ['countersign', ...words, ...atBroker].map(shellWord).join(' ');
  return {
    io,
    localCommand,
    command: (parent, name, summary) =>
      localCommand(parent, name, summary)
        .option('--broker <url>', `the broker; else COUNTERSIGN_URL, else ${DEFAULT_BROKER}`)
        .addOption(
          new Option(
            '--step-up <how>',
            'how to sign in again when the broker wants a stronger sign-in; else COUNTERSIGN_STEP_UP',
          ).choices(STEP_UPS),
        ),
    runLocal: async (options, work) => {
      exitCode = await work(createOutput(io, options));
    },
    run: async (options, work) => {
      if (options.broker !== undefined) atBroker = ['--broker', options.broker];
      exitCode = await work(createContext(io, options, commandLine));
    },
    exitCode: () => exitCode,
    commandLine,
  };
}

function createOutput(io: Io, options: { json?: boolean }): Output {
  const json = options.json === true;
  return {
    io,
    json,
    print: (document, human) => io.stdout(`${json ? JSON.stringify(document, null, 2) : human()}\n`),
    note: (line) => io.stderr(`${line}\n`),
  };
}

function createContext(io: Io, options: CommonOptions, commandLine: Context['commandLine']): Context {
  const output = createOutput(io, options);
  const broker = parseBroker(options.broker ?? (io.env.COUNTERSIGN_URL || DEFAULT_BROKER));
  if (!isFetchable(broker, true)) output.note(`${broker} is not https: your token travels in the clear.`);
  const credentials = createCredentials(io);
  const client = createClient({
    io,
    broker,
    tokens: createTokenSource({
      io,
      broker,
      credentials,
      signInAgain: createSignInAgain({
        io,
        broker,
        credentials,
        stepUp: options.stepUp,
        commandLine,
        note: output.note,
      }),
    }),
    onFreeze: (freezes) => output.note(`A freeze holds: ${printable(decodeFreezes(freezes))}`),
  });
  return { ...output, client, credentials, broker, commandLine };
}

function parseBroker(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !['http:', 'https:'].includes(url.protocol) || url.username || url.search || url.hash) {
    throw usageError(`"${text}" is not the URL of a broker; it looks like https://countersign.example.com.`);
  }
  return url.href.replace(/\/+$/, '');
}

function decodeFreezes(header: string): string {
  try {
    return decodeURIComponent(header);
  } catch {
    return header;
  }
}
