import { type Bench, measureParts } from './bench.ts';
import { startChild } from './child.ts';
import type { DecideRun } from './decide.ts';
import { TEMPLATES } from './prepare.ts';
import { DECISION, EVALUATION } from './ratios.ts';

/** Decisions in process beside the evaluation alone. */
export async function measureDecisions(bench: Bench): Promise<void> {
  const { stage, report } = bench;
  const child = await startChild<DecideRun, number>('decide.ts', [stage.bundleFile, stage.file(TEMPLATES)]);
  report.heading(
    'Decisions in process',
    'Building the input, validating it, its canonical form and digest, the evaluation, reading and checking the answer. The floor is the evaluation of the same input by the SDK alone.',
  );
  const rates = await measureParts(bench, child, { product: 'product', floor: 'floor' });
  report.ratios([{ what: DECISION, against: EVALUATION, clients: null, ratio: rates.product / rates.floor }]);
  await child.end();
}
