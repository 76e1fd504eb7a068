import type { Command } from 'commander';
import type { InclusionView } from '../../audit/log-routes.ts';
import type { AnswerOf } from '../../routes.ts';
import { formatProofFile, verifyProofFile } from '../../tree/proof-file.ts';
import type { Cli, CommonOptions, Context, Output } from '../cli.ts';
import { exportInputs } from '../export-inputs.ts';
import { describeLog, failOnFault, readLogKey, readText } from '../log-source.ts';
import { EXIT, type ExitCode } from '../output/exit-codes.ts';
import { jsonText, pathSegment, printable, table } from '../output/text.ts';
import { replaceFile } from '../replace-file.ts';
import { registerEvaluations } from './audit-evaluations.ts';

/** `audit`: evidence from the log for others. */
export function registerAudit(program: Command, cli: Cli): void {
  const audit = program.command('audit').description('take evidence out of the decision log, and verify it');
  cli
    .command(audit, 'key', 'print the key that verifies the checkpoints of the log')
    .action((options: CommonOptions) => cli.run(options, showKey));
  cli
    .command(audit, 'proof <decision>', 'write a file that proves that a decision is in the log')
    .option('--out <file>', 'write it to this file (default: standard output)')
    .addHelpText(
      'after',
      `
Examples:
  countersign audit proof 0197f3a0-7c1e-7000-8000-000000000001 --out change.tlog-proof
  countersign audit proof 1200 > change.tlog-proof

The decision is named by its id, or by the place of its record. The file has the record, the hashes to the root of the log,
and a signed checkpoint (C2SP tlog-proof). Whoever has it and the key of the log can verify it, without a broker.`,
    )
    .action((decision: string, options: CommonOptions & { out?: string }) =>
      cli.run(options, (context) => writeProof(context, decision, options.out)),
    );
  cli
    .command(audit, 'inputs', 'write the inputs and results of all decisions, with the bundles that decided')
    .requiredOption('--out <folder>', 'the folder that they are written to')
    .addHelpText(
      'after',
      `
Examples:
  countersign audit inputs --out evidence
  countersign verify --key log.key --inputs evidence/inputs.jsonl

The file has one decision on each line, in the order of the log, and the salts of its digests. It names persons: keep it
like the database.`,
    )
    .action((options: CommonOptions & { out: string }) =>
      cli.run(options, async (context) => {
        const written = await exportInputs(context, options.out);
        const { file, decisions, bundles } = written;
        context.print(
          written,
          () => `${decisions} decisions are in ${printable(file)}, and ${bundles} bundles beside it.`,
        );
        return EXIT.done;
      }),
    );
  cli
    .command(audit, 'summary', 'count by day what was applied, held and denied, for the last 30 days')
    .action((options: CommonOptions) =>
      cli.run(options, async (context) => {
        const call = { method: 'GET', path: '/v1/audit/summary' } as const;
        const { body } = await context.client.call<AnswerOf<'getSummary'>>(call);
        context.print(body, (columns) =>
          table(
            ['DAY', 'APPLIED', 'HELD', 'DENIED', 'MEDIAN WAIT'],
            body.days.map(({ from_ms, applied, held, denied, median_wait_ms }) => [
              new Date(from_ms).toISOString().slice(0, 10),
              ...[String(applied), String(held), String(denied)],
              median_wait_ms === null ? '-' : `${Math.round(median_wait_ms / 60_000)} min`,
            ]),
            columns,
          ),
        );
        return EXIT.done;
      }),
    );
  registerEvaluations(audit, cli);
  cli
    .localCommand(
      audit,
      'verify-proof <file>',
      'verify a proof file with the key of the log, without a broker',
    )
    .requiredOption('--key <key>', 'the key of the log: a file, or the key itself')
    .addHelpText(
      'after',
      `
Examples:
  countersign audit verify-proof change.tlog-proof --key log.key

Exit status: 0 if the record is in the log of that key, 6 if the file does not prove it.`,
    )
    .action((file: string, options: { json?: boolean; key: string }) =>
      cli.runLocal(options, (output) => verifyProof(output, file, options.key)),
    );
}

async function showKey(context: Context): Promise<ExitCode> {
  const log = await describeLog(context.io, context.broker);
  context.print(log, () => printable(log.key));
  return EXIT.done;
}

async function writeProof(context: Context, decision: string, out: string | undefined): Promise<ExitCode> {
  const path = `/v1/log/proofs/inclusion/${pathSegment(decision)}`;
  const { body } = await context.client.call<InclusionView>({ method: 'GET', path });
  const { place, index, leaf, proof, checkpoint } = body;
  const file = formatProofFile({
    leaf: Buffer.from(leaf),
    index,
    proof: proof.map((hash) => Buffer.from(hash, 'base64')),
    checkpoint,
  });
  if (out === undefined) {
    context.print({ place, index, proof: file }, () => file.trimEnd());
    return EXIT.done;
  }
  await replaceFile(out, file);
  context.print(
    { place, index, file: out },
    () => `The proof of the record at place ${place} is in ${printable(out)}.`,
  );
  return EXIT.done;
}

async function verifyProof(output: Output, file: string, key: string): Promise<ExitCode> {
  const verifier = await readLogKey(key);
  const text = file === '-' ? await output.io.readStdin() : await readText(file);
  const { leaf, index, checkpoint } = await failOnFault(async () => verifyProofFile(text, verifier));
  const record = parseRecord(leaf);
  const place = index + 1;
  const { origin, size } = checkpoint;
  output.print({ place, index, origin, size, record }, () =>
    [
      `The record is at place ${place} of the log ${printable(origin)}, which had ${size} records then:`,
      jsonText(record),
    ].join('\n'),
  );
  return EXIT.done;
}

/** The leaf as JSON; a log of another program may have other leaves. */
function parseRecord(leaf: Buffer): unknown {
  const text = leaf.toString();
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
