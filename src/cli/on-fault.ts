import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import type { Output } from './cli.ts';
import { type CliError, usageError } from './cli-error.ts';
import { printable } from './output/text.ts';

/** How long the program may take before it is ended. */
const TIMEOUT_MS = 60_000;

/** Finds out before it is needed whether the program can be run. @throws CliError `usage` */
export async function assertProgram(program: string): Promise<void> {
  await access(program, constants.X_OK).catch((error: Error) => {
    throw usageError(
      `--on-fault: ${program} cannot be run: ${error.message}. It must be the path of a program or a script, without arguments.`,
    );
  });
}

/**
 * Runs the program of `--on-fault` with the problem as JSON on its standard input. There is no shell and there are no arguments, so
 * nothing that a log says is ever taken for a command. Its own failure is said, and changes nothing.
 */
export function alertBy(output: Output, program: string, { problem }: CliError): Promise<void> {
  return new Promise((resolve) => {
    const child = execFile(program, [], { timeout: TIMEOUT_MS }, (error) => {
      if (error !== null) output.note(`--on-fault: ${program} failed: ${printable(error.message)}`);
      resolve();
    });
    // It need not read it.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(`${JSON.stringify(problem)}\n`);
  });
}
