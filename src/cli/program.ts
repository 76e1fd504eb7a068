import { Command, CommanderError } from 'commander';
import { didYouMean, nearestOf } from '../unknown-name.ts';
import { loadVersion } from '../version.ts';
import { type Cli, createCli } from './cli.ts';
import { CliError, usageError } from './cli-error.ts';
import { DELIBERATE_HELP } from './deliberate.ts';
import { loadGroups, type Register } from './groups.ts';
import type { Io } from './io.ts';
import { describeArguments } from './output/arguments.ts';
import { addExamples } from './output/examples.ts';
import { EXIT, EXIT_HELP, type ExitCode } from './output/exit-codes.ts';
import { renderProblem } from './output/render.ts';
import { jsonText, visible } from './output/text.ts';
import { variablesHelp } from './output/variables.ts';

/*
 * The command line. `commands/` has a file for each group of commands, `auth/` the sign-in of people and jobs,
 * `output/` the output. It calls a broker over HTTP only; `serve` alone starts one, and the acts of an operator alone write
 * to a database. From the other folders it imports only the types of responses and their descriptions.
 */

const TOKEN_HELP = `
The token comes from the first of these sources that is there:
  COUNTERSIGN_TOKEN               used as it is
  GitHub Actions                  the job's own ID token (permission id-token: write), exchanged at the broker
  COUNTERSIGN_SUBJECT_TOKEN       exchanged at the broker
  COUNTERSIGN_SUBJECT_TOKEN_FILE  exchanged at the broker
  countersign login               the stored sign-in of a person

An exchanged token is bound to a key (DPoP). A copy of the token is useless without that key.

When the broker requires a stronger sign-in, a command at a terminal asks you to sign in again and then continues. Without a
terminal it prints the command to do so.
`;

/**
 * Runs a command line.
 *
 * @param argv the words after the program's name
 * @returns the exit status; errors have been printed
 */
export async function runCli(argv: readonly string[], io: Io): Promise<ExitCode> {
  const cli = createCli(io);
  try {
    const words = commandFirst(argv);
    const program = createProgram(cli, await loadGroups(words), argv.includes('--json'));
    await program.parseAsync(words, { from: 'user' });
    return cli.exitCode();
  } catch (error) {
    return report(error, argv, cli);
  }
}

/** The common options of {@link Cli.command}, each with whether a value follows it. */
const COMMON: Readonly<Record<string, boolean>> = {
  '--json': false,
  '--broker': true,
  '--profile': true,
  '--step-up': true,
};

/** The words with the common options behind the command, where it takes them: people write them before it, too. */
function commandFirst(argv: readonly string[]): string[] {
  let from = 0;
  for (let word = argv[0]; word !== undefined; word = argv[from]) {
    const [option = '', value] = word.split('=', 2);
    const takesNext = COMMON[option];
    if (takesNext === undefined) break;
    from += takesNext && value === undefined ? 2 : 1;
  }
  const rest = argv.slice(from);
  const options = rest.findIndex((word) => word.startsWith('-'));
  const to = options < 0 ? rest.length : options;
  // What is written behind the command counts more, as it is read later.
  return to === 0 ? [...argv] : [...rest.slice(0, to), ...argv.slice(0, from), ...rest.slice(to)];
}

/**
 * @param groups the commands it has
 * @param json whether errors are told as a document, and so not in words as well
 */
export function createProgram(cli: Cli, groups: readonly Register[], json = false): Command {
  const program = new Command('countersign')
    .description('Propose, approve and apply feature flag changes under a policy, and run the broker.')
    .version(loadVersion())
    .exitOverride()
    .configureOutput({
      writeOut: cli.io.stdout,
      writeErr: (text) => {
        if (!json) cli.io.stderr(visible(text));
      },
      outputError: (text, write) => write(withNearest(text)),
    })
    .showHelpAfterError('(see --help)')
    .addHelpText('after', `${TOKEN_HELP}\n${variablesHelp()}${DELIBERATE_HELP}\n${EXIT_HELP}`);
  for (const register of groups) register(program, cli);
  describeArguments(program);
  addExamples(program);
  return program;
}

/** Prints an error: for people on standard error, with `--json` as the only document on standard output. */
function report(error: unknown, argv: readonly string[], { io, commandLine }: Cli): ExitCode {
  const json = argv.includes('--json');
  if (error instanceof CommanderError) {
    // Help and version were requested. Commander has already printed usage errors for people.
    if (error.exitCode === 0) return EXIT.done;
    if (json) printJson(io, usageError(withNearest(error.message)).problem);
    return EXIT.usage;
  }
  const refusal = error instanceof CliError ? error : unexpected(error);
  const problem =
    refusal.login === null
      ? refusal.problem
      : { ...refusal.problem, command: commandLine('login', ...refusal.login) };
  if (json) printJson(io, problem);
  else io.stderr(`${visible(renderProblem(problem, commandLine))}\n`);
  return refusal.exitCode;
}

/** Commander suggests options and commands, but not the choices of an option. */
function withNearest(text: string): string {
  const [, given, choices] = /argument '(.*)' is invalid\. Allowed choices are (.*)\./.exec(text) ?? [];
  if (given === undefined || choices === undefined) return text;
  const hint = didYouMean(nearestOf(given, choices.split(', ')));
  return hint === '' ? text : `${text.trimEnd()} ${hint.replace(/^d/, 'D')}\n`;
}

function printJson(io: Io, document: object): void {
  io.stdout(`${jsonText(document)}\n`);
}

function unexpected(error: unknown): CliError {
  return new CliError(
    EXIT.error,
    {
      code: 'internal_error',
      title: 'Internal error of the command line',
      detail: error instanceof Error ? error.message : String(error),
    },
    { cause: error },
  );
}
