import { type Command, Option } from 'commander';
import { isFetchable } from '../issuers/issuers.ts';
import { createTokenSource, type TokenSource, tokenOfEnvironment } from './auth/access-token.ts';
import { type Credentials, createCredentials } from './auth/credentials.ts';
import { isNamed, listProfiles, noSuchProfile, profileOf } from './auth/profiles.ts';
import { createSignInAgain, STEP_UPS } from './auth/step-up.ts';
import { CliError, usageError } from './cli-error.ts';
import { type Client, createClient } from './client.ts';
import type { Io } from './io.ts';
import { EXIT, type ExitCode } from './output/exit-codes.ts';
import { jsonText, printable, shellWord, visible } from './output/text.ts';

/** The broker's default URL. */
export const DEFAULT_BROKER = 'http://127.0.0.1:8480';

/** The common options of commands that call a broker. */
export interface CommonOptions {
  broker?: string;
  json?: boolean;
  /** Who acts, of several people at one terminal. */
  profile?: string;
  /** One of {@link STEP_UPS}. */
  stepUp?: string;
}

/** The output of a command. */
export interface Output {
  io: Io;
  json: boolean;
  /** Prints the result: the document with `--json`, otherwise text for people, in a terminal of that width. */
  print(document: unknown, human: (columns: number | null) => string): void;
  /** Prints a note for the person on standard error. */
  note(line: string): void;
}

/** The context of one command run against a broker. */
export interface Context extends Output {
  client: Client;
  tokens: TokenSource;
  credentials: Credentials;
  /** The profile whose sign-in is used, if nothing in the environment takes precedence; null if it does. */
  profile: string | null;
  /** The broker's URL, without a trailing slash. */
  broker: string;
  /** A command line with these words for the same broker. */
  commandLine(...words: string[]): string;
}

/** Registers the commands. One command runs, and its result becomes the exit status. */
export interface Cli {
  io: Io;
  /** Adds a command that has `--json`. */
  localCommand(parent: Command, name: string, summary: string): Command;
  /** Adds a command that has `--json`, `--broker`, `--profile` and `--step-up`. */
  command(parent: Command, name: string, summary: string): Command;
  /** Runs a command that needs no broker. */
  runLocal(options: { json?: boolean }, work: (output: Output) => Promise<ExitCode>): Promise<void>;
  /** Runs a command at a broker. */
  run(options: CommonOptions, work: (context: Context) => Promise<ExitCode>): Promise<void>;
  /** The exit status of the executed command. */
  exitCode(): ExitCode;
  /** As {@link Context.commandLine}, also after a failed command. */
  commandLine(...words: string[]): string;
}

/** Creates the registry for the commands. */
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
        .option('--broker <url>', `URL of the broker (default: COUNTERSIGN_URL or ${DEFAULT_BROKER})`)
        .option('--profile <name>', 'the profile to act as (default: COUNTERSIGN_PROFILE, or profiles use)')
        .addOption(
          new Option(
            '--step-up <how>',
            'how to sign in again when the broker requires a stronger sign-in (default: COUNTERSIGN_STEP_UP)',
          ).choices(STEP_UPS),
        ),
    runLocal: async (options, work) => {
      exitCode = await work(createOutput(io, options));
    },
    run: async (options, work) => {
      const profile = await profileOf(io, options.profile);
      atBroker = [
        ...(options.broker === undefined ? [] : ['--broker', options.broker]),
        // Named also where a variable or `profiles use` chose it: whoever reads the hint may be in another shell.
        ...(options.profile !== undefined || isNamed({ profile }) ? ['--profile', profile] : []),
      ];
      const context = createContext(io, { ...options, profile }, commandLine);
      exitCode = await work(context).catch(async (error: unknown) => {
        throw context.profile === null ? error : await withProfile(io, context.profile, withSignIn(error));
      });
    },
    exitCode: () => exitCode,
    commandLine,
  };
}

/** A stored sign-in that the broker accepts no longer is replaced by another one. */
function withSignIn(error: unknown): unknown {
  if (!(error instanceof CliError) || error.problem.code !== 'token_invalid') return error;
  return new CliError(error.exitCode, error.problem, { login: [], cause: error });
}

/** A profile that nobody signed in with may be a misspelled one. */
async function withProfile(io: Io, profile: string, error: unknown): Promise<unknown> {
  if (!(error instanceof CliError) || error.problem.code !== 'not_signed_in') return error;
  const known = await listProfiles(io);
  if (known.includes(profile)) return error;
  const detail = `${noSuchProfile(profile, known)} ${error.problem.detail}`;
  const { login } = error;
  const options = { cause: error, ...(login === null ? {} : { login }) };
  return new CliError(error.exitCode, { ...error.problem, detail }, options);
}

function createOutput(io: Io, options: { json?: boolean }): Output {
  const json = options.json === true;
  return {
    io,
    json,
    print: (document, human) =>
      io.stdout(`${json ? jsonText(document) : visible(human(io.columns ?? null))}\n`),
    note: (line) => io.stderr(`${visible(line)}\n`),
  };
}

function createContext(
  io: Io,
  options: CommonOptions & { profile: string },
  commandLine: Context['commandLine'],
): Context {
  const output = createOutput(io, options);
  const broker = parseBroker(options.broker ?? (io.env.COUNTERSIGN_URL || DEFAULT_BROKER));
  if (!isFetchable(broker, true))
    output.note(`${broker} does not use https: your token is sent unencrypted.`);
  const credentials = createCredentials(io, options.profile);
  const { note } = output;
  const signInAgain = createSignInAgain({
    io,
    broker,
    credentials,
    stepUp: options.stepUp,
    commandLine,
    note,
  });
  const tokens = createTokenSource({ io, broker, credentials, signInAgain, note });
  const client = createClient({
    io,
    broker,
    tokens,
    onFreeze: (freezes) => output.note(describeFreezes(freezes, commandLine)),
  });
  const profile = tokenOfEnvironment(io) === null ? options.profile : null;
  return { ...output, client, tokens, credentials, profile, broker, commandLine };
}

function parseBroker(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !['http:', 'https:'].includes(url.protocol) || url.username || url.search || url.hash) {
    throw usageError(`"${text}" is not a broker URL. Use the form https://countersign.example.com.`);
  }
  return url.href.replace(/\/+$/, '');
}

/** What each scope of a freeze holds back. */
const FROZEN: Readonly<Record<string, string>> = {
  all: 'all writes are frozen',
  environment: 'an environment is frozen',
  namespace: 'a namespace is frozen',
  flag: 'a flag is frozen',
};

/** The freezes that the broker names with an answer (`scope;incident=…, …`), as sentences. */
function describeFreezes(header: string, commandLine: Context['commandLine']): string {
  const freezes = header.split(', ').map((freeze) => {
    const [, scope = '', incident = ''] = /^([a-z]+);incident=(.*)$/.exec(freeze) ?? [];
    const frozen = FROZEN[scope];
    return frozen === undefined ? freeze : `${frozen} because of ${decoded(incident)}`;
  });
  return `Freeze: ${printable(freezes.join('; '))}. See ${commandLine('freeze', '--list')}`;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
