import { Command, CommanderError } from 'commander';
import { didYouMean, nearestOf } from '../unknown-name.ts';
import { loadVersion } from '../version.ts';
import { type Cli, createCli } from './cli.ts';
import { CliError, usageError } from './cli-error.ts';
import { registerAccess } from './commands/access.ts';
import { registerAgents } from './commands/agents.ts';
import { registerArchive } from './commands/archive.ts';
import { registerAudit } from './commands/audit.ts';
import { registerBackup } from './commands/backup.ts';
import { registerCompletion } from './commands/completion.ts';
import { registerDecisions } from './commands/decisions.ts';
import { registerDrill } from './commands/drill.ts';
import { registerEmergency } from './commands/emergency.ts';
import { registerErase } from './commands/erase.ts';
import { registerExplain } from './commands/explain.ts';
import { registerFlags } from './commands/flags.ts';
import { registerInit } from './commands/init.ts';
import { registerKeys } from './commands/keys.ts';
import { registerLogin } from './commands/login.ts';
import { registerLogout } from './commands/logout.ts';
import { registerMigrate } from './commands/migrate.ts';
import { registerOperator } from './commands/operator.ts';
import { registerPolicy } from './commands/policy.ts';
import { registerProfiles } from './commands/profiles.ts';
import { registerPropose } from './commands/propose.ts';
import { registerPublish } from './commands/publish.ts';
import { registerReplay } from './commands/replay.ts';
import { registerRequests } from './commands/requests.ts';
import { registerRevocations } from './commands/revocations.ts';
import { registerServe } from './commands/serve.ts';
import { registerSessions } from './commands/sessions.ts';
import { registerStore } from './commands/store.ts';
import { registerToken } from './commands/token.ts';
import { registerTrust } from './commands/trust.ts';
import { registerVerify } from './commands/verify.ts';
import { registerVerifySnapshot } from './commands/verify-snapshot.ts';
import { registerVotes } from './commands/vote.ts';
import { registerWhoami } from './commands/whoami.ts';
import { registerWitness } from './commands/witness.ts';
import { DELIBERATE_HELP } from './deliberate.ts';
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
    await createProgram(cli, argv.includes('--json')).parseAsync(commandFirst(argv), { from: 'user' });
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

/** @param json whether errors are told as a document, and so not in words as well */
export function createProgram(cli: Cli, json = false): Command {
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
  registerInit(program, cli);
  registerServe(program, cli);
  registerBackup(program, cli);
  registerArchive(program, cli);
  registerMigrate(program, cli);
  registerStore(program, cli);
  registerOperator(program, cli);
  registerLogin(program, cli);
  registerLogout(program, cli);
  registerWhoami(program, cli);
  registerProfiles(program, cli);
  registerSessions(program, cli);
  registerPropose(program, cli);
  registerRequests(program, cli);
  registerVotes(program, cli);
  registerEmergency(program, cli);
  registerRevocations(program, cli);
  registerDrill(program, cli);
  registerFlags(program, cli);
  registerDecisions(program, cli);
  registerReplay(program, cli);
  registerAudit(program, cli);
  registerErase(program, cli);
  registerPublish(program, cli);
  registerVerify(program, cli);
  registerVerifySnapshot(program, cli);
  registerWitness(program, cli);
  registerExplain(program, cli);
  registerAccess(program, cli);
  registerAgents(program, cli);
  registerKeys(program, cli);
  registerPolicy(program, cli);
  registerTrust(program, cli);
  registerToken(program, cli);
  registerCompletion(program, cli);
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
