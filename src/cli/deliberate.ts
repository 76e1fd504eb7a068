import type { Command } from 'commander';
import { isNamed } from './auth/profiles.ts';
import type { Context, Output } from './cli.ts';
import { CliError, usageError } from './cli-error.ts';
import { EXIT } from './output/exit-codes.ts';

/*
 * Deliberate acts: those that are for ever, that reach more than what they name, or that approve. This is the one place of
 * the rule that `DELIBERATE_RULE` tells, and of `--yes`.
 */

/** The option of every command that asks. */
export interface YesOption {
  yes?: boolean;
}

const YES_HELP = 'answer yes in advance to the question that the command asks at a terminal';

/** The rule of deliberate acts, as the help and the page of commands tell it. */
export const DELIBERATE_RULE = [
  'What is for ever, or reaches more than what it names, says so and asks at a terminal.',
  'Without a terminal nobody can be asked: such a command then needs --yes.',
  '--yes answers the question in advance and does nothing else, in every command.',
  'approve and reject show the change and ask. Without a terminal, or with --yes, they need --digest:',
  'it names what somebody has read, and --yes does not.',
] as const;

/** The help text for deliberate acts. */
export const DELIBERATE_HELP = `
Deliberate acts:
${DELIBERATE_RULE.map((line) => `  ${line}`).join('\n')}`;

/** Adds `--yes`. */
export function addYesOption(command: Command): Command {
  return command.option('--yes', YES_HELP);
}

/** What is asked before an act. */
interface Act {
  /** What it does, as sentences. */
  says: string;
  /** Such as `Retire it?`; without the form of the answer. */
  question: string;
}

/**
 * Says what an act does, and asks. Nothing is asked with `--yes`.
 *
 * @throws CliError `usage` without a terminal and without `--yes`; `not_confirmed` if the answer is not yes
 */
export async function confirmAct(
  { io, note }: Pick<Output, 'io' | 'note'>,
  { says, question }: Act,
  { yes }: YesOption,
): Promise<void> {
  if (yes === true) return;
  if (io.ask === null) {
    throw usageError(`${says} There is no terminal to ask at: add --yes if that is meant.`);
  }
  note(says);
  await confirmed(io.ask, question);
}

/**
 * Asks for a vote on what was just shown. Somebody must have read it: here at the terminal, or before, which `--digest`
 * proves.
 *
 * @throws CliError `not_confirmed` if the answer is not yes
 */
export async function confirmVote(context: Context, verdict: string, { yes }: YesOption): Promise<void> {
  const { ask } = context.io;
  if (yes === true || ask === null) return;
  const named = isNamed(context) ? `, as ${context.profile}` : '';
  await confirmed(ask, `${verdict} this${named}?`);
}

/** @throws CliError `usage` for a vote that nobody is asked about, and that names no content */
export function assertNamesContent(
  { io, commandLine }: Pick<Context, 'io' | 'commandLine'>,
  { verdict, id, digest, yes }: { verdict: string; id: string; digest: string | undefined } & YesOption,
): void {
  if (digest !== undefined || (io.ask !== null && yes !== true)) return;
  const why =
    io.ask === null
      ? 'There is no terminal to show the change at and to ask.'
      : '--yes shows nobody the change.';
  throw usageError(
    `${why} Say which content you ${verdict}, with --digest sha256:… of the request that was read. ${commandLine('show', id)} shows it with its digest.`,
  );
}

async function confirmed(ask: (question: string) => Promise<string>, question: string): Promise<void> {
  if (/^y(es)?$/i.test((await ask(`${question} [y/N] `)).trim())) return;
  throw new CliError(EXIT.error, {
    code: 'not_confirmed',
    title: 'Nothing was sent',
    detail: 'You did not confirm, so nothing was recorded.',
  });
}

/** What retiring does, and the flags of these changes that would be. */
export async function confirmRetirements(
  output: Pick<Output, 'io' | 'note'>,
  changes: readonly unknown[],
  options: YesOption,
): Promise<void> {
  const flags = changes.filter(isRetirement).map(({ flag }) => flag);
  if (flags.length === 0) return;
  const says = `This retires ${flags.join(', ')} in every environment, for ever: a retired flag never comes back, and its key is never free again.`;
  await confirmAct(output, { says, question: 'Retire for ever?' }, options);
}

function isRetirement(change: unknown): change is { action: 'retire'; flag: string } {
  return (change as { action?: unknown } | null)?.action === 'retire';
}
