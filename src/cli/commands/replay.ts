import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { ReplayPage, ReplayView } from '../../audit/replay.ts';
import { NEVER_REPLAYABLE, NOT_REPLAYABLE } from '../../policy/replay.ts';
import type { Cli, CommonOptions, Context, Output } from '../cli.ts';
import { usageError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../output/exit-codes.ts';
import { pathSegment, printable, printableJson } from '../output/text.ts';
import { MOMENT_HELP, parseMoment } from '../parse-moment.ts';
import { replayFile } from '../replay-file.ts';
import { fullId } from '../short-id.ts';

/** A number below this is a place in the log; as epoch milliseconds it would be before 1973. */
const MAX_PLACE = 100_000_000_000;

/** A bound of a span: a place, or a time in epoch milliseconds. */
type Bound = { place: number } | { ms: number };

interface ReplayOptions extends CommonOptions {
  since?: Bound;
  until?: Bound;
  file?: string;
  bundle?: string;
}

/** The outcome for a span. */
interface SpanReport extends Omit<ReplayPage, 'next_place'> {
  /** The number of decisions that were replayed. */
  replayed: number;
}

/** `replay`: whether decisions come out as they were recorded. */
export function registerReplay(program: Command, cli: Cli): void {
  cli
    .command(
      program,
      'replay [decision]',
      'make recorded decisions again from their stored input and policy bundle, and compare byte for byte',
    )
    .option(
      '--since <from>',
      `replay a span from here: a place in the log, or ${MOMENT_HELP}`,
      (text: string) => parseBound('--since', text),
    )
    .option('--until <to>', 'the end of the span: up to this place, or before this moment', (text: string) =>
      parseBound('--until', text),
    )
    .option('--file <path>', 'replay an exported decision (decisions ID --json) without a broker')
    .option('--bundle <path>', 'with --file: the policy bundle that made the decision')
    .addHelpText(
      'after',
      `
Examples:
  countersign replay 0197f3a0-7c1e-7000-8000-000000000001
  countersign replay --since 2026-11-01
  countersign replay --since 1200 --until 1300
  countersign replay --file decision.json --bundle bundle.tar.gz

Exit status: 0 if everything came out the same, 6 if something came out differently, 5 if something cannot be
replayed although it should be.`,
    )
    .action((decision: string | undefined, options: ReplayOptions) => {
      if (options.file !== undefined)
        return cli.runLocal(options, (output) => offline(output, decision, options));
      return cli.run(options, (context) => online(context, decision, options));
    });
}

async function offline(
  output: Output,
  decision: string | undefined,
  { file = '', bundle, since, until }: ReplayOptions,
): Promise<ExitCode> {
  if (decision !== undefined || since !== undefined || until !== undefined) {
    throw usageError('--file replays the one decision that is in the file.');
  }
  if (bundle === undefined) throw usageError('--file requires --bundle FILE, the bundle of its policy_hash.');
  const text = file === '-' ? await output.io.readStdin() : await readText(file);
  return answer(output, await replayFile(text, bundle));
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw usageError(`${file} cannot be read: ${(error as Error).message}`);
  }
}

async function online(
  context: Context,
  decision: string | undefined,
  { since, until, bundle }: ReplayOptions,
): Promise<ExitCode> {
  if (bundle !== undefined) throw usageError('--bundle requires --file.');
  if (decision === undefined) {
    if (since === undefined) throw usageError('Specify a decision, --since, or --file.');
    return replaySpan(context, since, until);
  }
  if (since !== undefined || until !== undefined) throw usageError('Specify a decision or a span, not both.');
  const id = await fullId(context, 'decision', decision);
  const path = `/v1/decisions/${pathSegment(id)}/replay`;
  return answer(context, (await context.client.call<ReplayView>({ method: 'POST', path })).body);
}

function answer(output: Output, view: ReplayView): ExitCode {
  output.print(view, () => renderReplay(view));
  switch (view.outcome) {
    case 'same':
      return EXIT.done;
    case 'different':
      return EXIT.different;
    case 'not_replayable':
      return EXIT.conflict;
  }
}

async function replaySpan(context: Context, since: Bound, until: Bound | undefined): Promise<ExitCode> {
  const path = '/v1/replays';
  let body: object = { ...boundsOf(since, 'from'), ...(until === undefined ? {} : boundsOf(until, 'to')) };
  let report: SpanReport | null = null;
  for (;;) {
    const { body: page } = await context.client.call<ReplayPage>({ method: 'POST', path, body });
    report = addPage(report, page);
    if (page.next_place === null) break;
    context.note(
      `Replayed ${report.replayed} decisions, up to place ${page.next_place - 1} of ${page.to_place}.`,
    );
    body = { from_place: page.next_place, to_place: page.to_place };
  }
  const whole = report;
  context.print(whole, () => renderSpan(whole));
  if (whole.different > 0) return EXIT.different;
  return gapsOf(whole) === 0 ? EXIT.done : EXIT.conflict;
}

function boundsOf(bound: Bound, name: 'from' | 'to'): object {
  return 'place' in bound ? { [`${name}_place`]: bound.place } : { [name]: bound.ms };
}

function addPage(report: SpanReport | null, { next_place: _, ...page }: ReplayPage): SpanReport {
  const replayed = page.same + page.different;
  if (report === null) return { ...page, replayed };
  const not_replayable = { ...report.not_replayable };
  for (const [code, count] of Object.entries(page.not_replayable)) {
    not_replayable[code] = (not_replayable[code] ?? 0) + count;
  }
  return {
    ...report,
    not_replayable,
    same: report.same + page.same,
    different: report.different + page.different,
    replayed: report.replayed + replayed,
    first_difference: report.first_difference ?? page.first_difference,
  };
}

/** How many decisions should be replayable and are not. */
function gapsOf({ not_replayable }: SpanReport): number {
  return Object.entries(not_replayable)
    .filter(([code]) => !(NEVER_REPLAYABLE as readonly string[]).includes(code))
    .reduce((sum, [, count]) => sum + count, 0);
}

function renderSpan(report: SpanReport): string {
  const { from_place, to_place, same, different, not_replayable, first_difference } = report;
  return [
    `places ${from_place} to ${to_place}: ${same} same, ${different} different`,
    ...Object.entries(not_replayable).map(([code, count]) => `  ${count} not replayed  ${describeWhy(code)}`),
    ...(first_difference === null ? [] : ['', 'First difference:', renderReplay(first_difference)]),
  ].join('\n');
}

function describeWhy(code: string): string {
  const known = Object.entries(NOT_REPLAYABLE).find(([name]) => name === code)?.[1];
  return printable(known ?? code);
}

const OUTCOMES: Readonly<Record<ReplayView['outcome'], string>> = {
  same: 'same: it comes out as it was recorded',
  different: 'different',
  not_replayable: 'cannot be replayed',
};

function renderReplay({ id, place, policy_hash, outcome, difference, why }: ReplayView): string {
  return [
    `decision  ${printable(id ?? 'unknown')}, place ${place}`,
    `policy    ${printable(policy_hash ?? 'unknown')}`,
    `replay    ${OUTCOMES[outcome]}`,
    ...(why === null ? [] : [`why       ${printable(why.detail)} (${why.code})`]),
    ...(difference === null
      ? []
      : [
          `first     ${difference.part}${printable(difference.pointer)}`,
          `recorded  ${printableJson(difference.recorded)}`,
          `replayed  ${printableJson(difference.replayed)}`,
        ]),
  ].join('\n');
}

function parseBound(option: string, text: string): Bound {
  const place = /^\d{1,11}$/.test(text) ? Number(text) : null;
  if (place !== null && place > 0 && place < MAX_PLACE) return { place };
  return { ms: parseMoment(option, text, 'a place in the log such as 1200') };
}
