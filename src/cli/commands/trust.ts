import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { OPERATIONS, operationsBy } from '../../operations.ts';
import { SCOPE, uniqueWords } from '../../tokens/exchange-form.ts';
import { explainToken, type TrustReport } from '../../tokens/trust-report.ts';
import type { TrustRuleFault } from '../../trust/lint.ts';
import { checkTrustRules } from '../../trust/policy-rules.ts';
import type { TrustRules } from '../../trust/rules.ts';
import { readBundleFile } from '../bundle-file.ts';
import type { Cli, CommonOptions, Output } from '../cli.ts';
import { CliError, usageError } from '../cli-error.ts';
import type { Io } from '../io.ts';
import { EXIT, type ExitCode } from '../output/exit-codes.ts';
import { operationsHelp } from '../output/operations-help.ts';
import { renderTrustReport } from '../output/render-trust.ts';
import { printable } from '../output/text.ts';

interface TestOptions extends CommonOptions {
  token: string;
  bundle?: string;
  audience: string;
  scope?: string;
}

/** `trust test` and `trust lint`. */
export function registerTrust(program: Command, cli: Cli): void {
  const trust = program
    .command('trust')
    .description('check trust rules, which map platform tokens to broker tokens');
  cli
    .command(trust, 'test', 'show which rule a token matches, or which claims do not match; issues nothing')
    .requiredOption('--token <file>', "the file with the platform's token; - is standard input")
    .option(
      '--bundle <file>',
      'check against the rules of this bundle, without a broker and WITHOUT verifying the signature',
    )
    .option('--audience <name>', 'the audience to request: control, audit or data:<environment>', 'control')
    .option('--scope <operations>', 'the operations to request, separated by spaces')
    .addHelpText('after', operationsHelp(operationsBy('workload', OPERATIONS), OPERATIONS))
    .action((options: TestOptions) => {
      const { bundle } = options;
      return bundle === undefined
        ? cli.run(options, async (context) => {
            const body = await orderOf(cli.io, options);
            const call = { method: 'POST', path: '/v1/trust/test', body } as const;
            return answer(context, (await context.client.call<TrustReport>(call)).body);
          })
        : cli.runLocal(options, async (output) => answer(output, await testLocally(cli.io, bundle, options)));
    });
  cli
    .localCommand(
      trust,
      'lint',
      "check a bundle's trust rules, as the broker does before it accepts a bundle",
    )
    .requiredOption('--bundle <file>', 'the bundle')
    .action((options: { bundle: string; json?: boolean }) =>
      cli.runLocal(options, (output) => lint(output, options.bundle)),
    );
}

function answer(output: Output, report: TrustReport): ExitCode {
  output.print(report, () => renderTrustReport(report));
  return report.would_issue === null ? EXIT.denied : EXIT.done;
}

/** The body of the call to the broker. @throws CliError `usage` */
async function orderOf(io: Io, { token, audience, scope }: TestOptions) {
  if (scope !== undefined && !SCOPE.test(scope)) {
    throw usageError('--scope must be operation names separated by single spaces.');
  }
  return { token: await readToken(io, token), audience, ...(scope === undefined ? {} : { scope }) };
}

async function readToken(io: Io, file: string): Promise<string> {
  try {
    const token = (file === '-' ? await io.readStdin() : await readFile(file, 'utf8')).trim();
    if (token !== '') return token;
  } catch (error) {
    throw usageError(`--token: ${(error as Error).message}.`);
  }
  throw usageError(`--token: ${file === '-' ? 'standard input' : file} is empty.`);
}

async function testLocally(io: Io, file: string, options: TestOptions): Promise<TrustReport> {
  const { token, audience, scope } = await orderOf(io, options);
  const { report } = explainToken(await rulesOf(file), token, {
    asked: { audience, scope: scope === undefined ? undefined : uniqueWords(scope) },
    nowMs: io.clock(),
    verification: { signature: 'not_checked' },
  });
  return report;
}

async function rulesOf(file: string): Promise<TrustRules> {
  const checked = checkTrustRules((await readBundleFile(file)).broker);
  if ('rules' in checked) return checked.rules;
  throw new CliError(EXIT.error, {
    code: 'trust_rules_unusable',
    title: 'The trust rules of the bundle are not usable',
    detail: describe(checked.faults),
  });
}

async function lint({ print }: Output, file: string): Promise<ExitCode> {
  const checked = checkTrustRules((await readBundleFile(file)).broker);
  const faults = 'faults' in checked ? checked.faults : [];
  const rules = 'rules' in checked ? Object.keys(checked.rules).length : null;
  print({ faults }, () => (rules === null ? describe(faults) : `${rules} trust rules, no faults`));
  return faults.length === 0 ? EXIT.done : EXIT.error;
}

function describe(faults: readonly TrustRuleFault[]): string {
  return faults.map(({ rule, detail }) => `${printable(rule)}: ${printable(detail)}`).join('\n');
}
