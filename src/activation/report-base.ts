import type { PlanWithEffects } from '../decide/control.ts';
import { type Base, type CheckedCandidate, type Plan, type PlanContext, Worsened } from '../decide/plan.ts';
import { insertReport } from '../store/policy-reports.ts';
import type { Db } from '../store/statement.ts';
import { type Candidate, fault } from './candidate.ts';

/** The base of a request to activate a policy that names the report of its checks. */
const REPORT = 'report:';

/** The most faults, or worse results, that a message has. A report has all of them. */
const MAX_SENTENCES = 5;

/** The report that a request is based on. */
export interface ReportBase {
  report: Base;
  /** No recorded decision, no access, no open request and no flag changes. */
  changes_nothing: boolean;
  next_activation: CheckedCandidate['next_activation'];
  /** Stores the report. */
  keep: NonNullable<PlanWithEffects['keep']>;
}

/**
 * The report that the request is based on: of a new request, the present one; of one that is to be applied, the one that was
 * approved, as long as nothing has become worse.
 *
 * @param options.pointer the member of the content that a fault is about
 * @throws RunAgain if the candidate was not checked yet in this state
 * @throws BrokerError `invalid_change` for a candidate that fails its checks
 * @throws Worsened
 */
export async function reportFor(
  db: Db,
  { bundle, active, object }: Candidate,
  { pointer, context }: { pointer: string; context: PlanContext },
): Promise<ReportBase> {
  const { proposed, checks, now_ms } = context;
  const approved = proposed === undefined ? null : reportOf(proposed);
  const stage = object.stage ?? null;
  const found = await checks.checked(db, { candidate: bundle, active, stage, approved, now_ms });
  if (approved !== null && found.worse.length > 0) {
    throw new Worsened(`With this policy, more would change than was approved: ${shorten(found.worse)}.`);
  }
  if (found.faults.length > 0) {
    throw fault('This policy fails its checks.', { pointer, detail: shorten(found.faults) });
  }
  if (approved !== null) {
    return {
      report: baseOf(approved),
      changes_nothing: proposed?.object?.changes_nothing === true,
      next_activation: found.next_activation,
      keep: async () => undefined,
    };
  }
  const { digest, report, measured, changes_nothing, next_activation } = found;
  return {
    report: baseOf(digest),
    changes_nothing,
    next_activation,
    keep: (tx, nowMs) => insertReport(tx, { digest, report, measured, stored_ms: nowMs }),
  };
}

function baseOf(digest: string): Base {
  return { of: `${REPORT}${digest}`, version: 1 };
}

/** The digest of the report that a plan is based on; null for the plan of an older version. */
function reportOf({ bases }: Plan): string | null {
  return bases.find(({ of }) => of.startsWith(REPORT))?.of.slice(REPORT.length) ?? null;
}

function shorten(sentences: readonly string[]): string {
  const more = sentences.length > MAX_SENTENCES ? `; and ${sentences.length - MAX_SENTENCES} more` : '';
  return `${sentences.slice(0, MAX_SENTENCES).join('; ')}${more}`;
}
