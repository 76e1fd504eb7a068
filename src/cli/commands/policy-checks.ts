import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { AnswerOf } from '../../routes.ts';
import type { Cli, CommonOptions, Context } from '../cli.ts';
import { CliError, usageError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../output/exit-codes.ts';
import { renderReport } from '../output/render-report.ts';
import { pathSegment, printable } from '../output/text.ts';
import { runChecks } from '../run-checks.ts';
import { addStageOption, type StageOption } from './policy-stages.ts';
import { uploadFile } from './policy-upload.ts';

type Decision = AnswerOf<'getDecision'>;

const HASH = /^sha256:[0-9a-f]{64}$/;

/** `policy backtest`, `policy report` and `policy case`. */
export function registerChecks(policy: Command, cli: Cli): void {
  addStageOption(
    cli.command(
      policy,
      'backtest <policy>',
      'check a policy as if it were proposed: its cases, recorded decisions, access, open requests, flags',
    ),
    'the stage that it is for (default: the last)',
  )
    .option('--all', 'replay the whole log (default: the newest records, as the active policy says)')
    .option('--since <place>', 'replay from this place of the log on', parsePlace)
    .option('--until <place>', 'with --since: up to this place', parsePlace)
    .addHelpText(
      'after',
      `
The policy is a policy hash of a stored bundle, or a file or folder, which is stored. Nothing is proposed.

Examples:
  countersign policy backtest bundle.tar.gz
  countersign policy backtest sha256:… --all --json

Exit status: 0, or 1 if the policy could not be proposed as it is.`,
    )
    .action((name: string, options: BacktestOptions) =>
      cli.run(options, (context) => backtest(context, name, options)),
    );
  cli
    .command(policy, 'report <digest>', 'show what would change with a policy, as its request is approved')
    .addHelpText('after', '\nExample:\n  countersign policy report sha256:…')
    .action((digest: string, options: CommonOptions) =>
      cli.run(options, async (context) => {
        const path = `/v1/policy/reports/${pathSegment(digest)}`;
        const { body } = await context.client.call<AnswerOf<'getPolicyReport'>>({ method: 'GET', path });
        context.print(body, () => renderReport(body));
        return EXIT.done;
      }),
    );
  cli
    .command(policy, 'case <decision>', 'make a decision case of a recorded decision')
    .option('--name <text>', 'the name of the case (default: the operation and the decision)')
    .option('--out <file>', 'the file to write, such as cases/incident.json (default: print it)')
    .addHelpText(
      'after',
      `
The case has the whole input of the decision and what the policy answered. Put it into cases/ of a policy, and it has to come
out so.

Example:
  countersign policy case 0197f3a0-7c1e-7000-8000-000000000001 --out cases/incident.json`,
    )
    .action((decision: string, options: CommonOptions & { name?: string; out?: string }) =>
      cli.run(options, (context) => toCase(context, decision, options)),
    );
}

interface BacktestOptions extends StageOption, CommonOptions {
  all?: boolean;
  since?: number;
  until?: number;
}

async function backtest(
  context: Context,
  name: string,
  { all, since, until, stage }: BacktestOptions,
): Promise<ExitCode> {
  if (all === true && since !== undefined) throw usageError('Specify --all or --since, not both.');
  if (until !== undefined && since === undefined) throw usageError('--until requires --since.');
  const places =
    since === undefined ? null : { from_place: since, to_place: until ?? Number.MAX_SAFE_INTEGER };
  const span = all === true ? 'all' : (places ?? 'newest');
  const of = HASH.test(name) ? { policy_hash: name } : await uploadFile(context, name);
  const result = await runChecks(context, { ...of, ...(stage !== undefined && { stage }), span });
  context.print(result, () => renderReport(result));
  const { cases, evaluation } = result.report;
  return cases.failed.length > 0 || evaluation.exceeded ? EXIT.error : EXIT.done;
}

async function toCase(
  context: Context,
  id: string,
  { name, out }: { name?: string; out?: string },
): Promise<ExitCode> {
  const path = `/v1/decisions/${pathSegment(id)}`;
  const { body } = await context.client.call<Decision>({ method: 'GET', path });
  const cases = [caseOf(body, name)];
  if (out === undefined) {
    context.print(cases, () => JSON.stringify(cases, null, 2));
    return EXIT.done;
  }
  try {
    // Never replaces a file: it may have other cases.
    await writeFile(out, `${JSON.stringify(cases, null, 2)}\n`, { flag: 'wx' });
  } catch (error) {
    const detail = (error as Error).message;
    throw new CliError(
      EXIT.error,
      { code: 'not_saved', title: 'The case was not saved', detail },
      { cause: error },
    );
  }
  context.print({ file: out, cases }, () => `wrote ${printable(out)}`);
  return EXIT.done;
}

/** The policy's answer, without its texts, as a case expects it. */
function caseOf({ id, operation, record, input, result }: Decision, name?: string): object {
  if (input === null || typeof input !== 'object' || record?.guardrail !== null) {
    throw new CliError(EXIT.error, {
      code: 'no_case',
      title: 'No case can be made of this decision',
      detail:
        'No policy made it, or a guardrail of the broker overruled the policy: what the policy itself answers is not recorded.',
    });
  }
  const { effect, reasons, obligations, limits } = result as {
    effect: string;
    reasons: { code: string }[];
    obligations: unknown[];
    limits: object;
  };
  const expected = { effect, reasons: reasons.map(({ code }) => code), obligations, limits };
  return { name: name ?? `${operation} ${id}`, decision: id, whole_input: input, expected };
}

function parsePlace(text: string): number {
  if (!/^[1-9]\d{0,15}$/.test(text)) throw usageError('A place is a whole number of at least 1.');
  return Number(text);
}
