import type { AnswerOf } from '../routes.ts';
import type { Context } from './cli.ts';
import { CliError } from './cli-error.ts';
import { EXIT } from './output/exit-codes.ts';
import { pathSegment } from './output/text.ts';

/** A policy to check: a stored bundle, or a patch of the active data. */
export type CheckedPolicy = (
  | { policy_hash: string; archive_digest?: string }
  | { patch: readonly Readonly<Record<string, unknown>>[] }
) & { stage?: string };

type Run = AnswerOf<'getPolicyChecks'>;

/** How often a broker is asked how far it is. */
const EVERY_MS = 500;

/**
 * Has the broker check a policy, and waits for the report, with notes on how far it is.
 *
 * @throws CliError `checks_failed`, or the code of the broker's fault, if they end without a report
 */
export async function runChecks(
  { client, io, note }: Context,
  asked: CheckedPolicy & { span?: unknown },
): Promise<NonNullable<Run['result']>> {
  const started = await client.call<Run>({ method: 'POST', path: '/v1/policy/checks', body: asked });
  let run = started.body;
  let told = '';
  while (run.state === 'running') {
    const line = describeProgress(run);
    if (line !== told) note(line);
    told = line;
    await io.sleep(EVERY_MS);
    run = (await client.call<Run>({ method: 'GET', path: `/v1/policy/checks/${pathSegment(run.id)}` })).body;
  }
  if (run.result === null) {
    throw new CliError(EXIT.error, {
      code: run.fault?.code ?? 'checks_failed',
      title: 'The policy could not be checked',
      detail: run.fault?.detail ?? 'The checks ended without a report.',
    });
  }
  return run.result;
}

function describeProgress({ progress }: Run): string {
  if (progress === null) return 'Checking the policy.';
  const { step, done, total } = progress;
  return `Checking the policy: ${step.replaceAll('_', ' ')}, ${done} of ${total}.`;
}

/**
 * Checks a policy that is proposed next, so that its proposer sees how far it is. The broker uses what was found here; what
 * keeps it from being checked now, it tells when the policy is proposed.
 */
export async function checkFirst(context: Context, of: CheckedPolicy): Promise<void> {
  try {
    await runChecks(context, { ...of, span: 'newest' });
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
  }
}
