import type { AnswerOf } from '../routes.ts';
import type { Context } from './cli.ts';
import { CliError } from './cli-error.ts';
import { EXIT } from './output/exit-codes.ts';
import { pathSegment } from './output/text.ts';

/** A policy to check: a stored bundle, or a patch of the active data. */
export type CheckedPolicy =
  | { policy_hash: string; archive_digest?: string }
  | { patch: readonly Readonly<Record<string, unknown>>[] };

type Run = AnswerOf<'getPolicyChecks'>;

/** How often a broker is asked how far it is. */
const EVERY_MS = 500;

/**
 * Has the broker check a policy, and waits for the report.
 *
 * @throws CliError `checks_failed` if they end without a report
 */
export async function runChecks(
  { client, io, note }: Context,
  asked: CheckedPolicy & { span?: unknown },
): Promise<NonNullable<Run['result']>> {
  const started = await client.call<Run>({ method: 'POST', path: '/v1/policy/checks', body: asked });
  let run = started.body;
  let step = '';
  while (run.state === 'running') {
    if (run.progress !== null && run.progress.step !== step) {
      step = run.progress.step;
      note(`checking: ${step.replaceAll('_', ' ')}`);
    }
    await io.sleep(EVERY_MS);
    run = (await client.call<Run>({ method: 'GET', path: `/v1/policy/checks/${pathSegment(run.id)}` })).body;
  }
  if (run.result === null) {
    throw new CliError(EXIT.error, {
      code: run.fault?.code ?? 'checks_failed',
      title: 'The checks ended without a report',
      detail: run.fault?.detail ?? 'The broker gave no reason.',
    });
  }
  return run.result;
}
