import type { FieldFault, Gate } from '../errors.ts';
import { EXIT, type ExitCode } from './output/exit-codes.ts';

/** A refusal as the command line prints it: a problem document of the broker, or a local one in the same shape. */
export interface Problem {
  /** A problem code of the broker, or one of the command line only, such as `usage`. */
  code: string;
  title: string;
  detail: string;
  errors?: readonly FieldFault[];
  gates?: readonly Gate[];
  [member: string]: unknown;
}

/** Why a command failed. */
export class CliError extends Error {
  readonly exitCode: ExitCode;
  readonly problem: Problem;
  /** True when the same call may succeed later. */
  readonly transient: boolean;
  /** How long the broker asks to wait, in milliseconds, or null. */
  readonly retryAfterMs: number | null;
  /** The options of a sign-in that may help, of which the report makes the command; null: none would. */
  readonly login: readonly string[] | null;

  constructor(
    exitCode: ExitCode,
    problem: Problem,
    options: {
      transient?: boolean;
      retryAfterMs?: number | null;
      login?: readonly string[];
      cause?: unknown;
    } = {},
  ) {
    super(problem.detail, { cause: options.cause });
    this.name = 'CliError';
    this.exitCode = exitCode;
    this.problem = problem;
    this.transient = options.transient ?? false;
    this.retryAfterMs = options.retryAfterMs ?? null;
    this.login = options.login ?? null;
  }
}

/** The error for an invalid command line. Nothing was sent. */
export function usageError(detail: string): CliError {
  return new CliError(EXIT.usage, { code: 'usage', title: 'Invalid command line', detail });
}
