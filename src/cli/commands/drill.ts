import type { Command } from 'commander';
import type { DrillReport } from '../../revocation/drill.ts';
import type { Cli, CommonOptions, Context } from '../cli.ts';
import { EXIT } from '../output/exit-codes.ts';
import { moment, printable } from '../output/text.ts';

/** `drill revocation`. */
export function registerDrill(program: Command, cli: Cli): void {
  const drill = program.command('drill').description('test emergency functions');
  cli
    .command(drill, 'revocation', 'issue a token, use it, revoke it, and check that it is refused')
    .action((options: CommonOptions) =>
      cli.run(options, async (context) => {
        const call = { method: 'POST', path: '/v1/drills/revocation' } as const;
        const { body } = await context.client.call<DrillReport>(call);
        context.print(body, () => render(body, context));
        return body.outcome === 'passed' ? EXIT.done : EXIT.error;
      }),
    );
}

function render({ id, outcome, steps, decision_id }: DrillReport, context: Context): string {
  return [
    `drill    ${id} ${outcome}`,
    ...steps.map(
      ({ step, ok, detail, at_ms }) =>
        `  ${step.padEnd(7)} ${ok ? 'ok    ' : 'FAILED'} ${moment(at_ms)}  ${printable(detail)}`,
    ),
    'evidence',
    `    ${context.commandLine('decisions', decision_id)}`,
  ].join('\n');
}
