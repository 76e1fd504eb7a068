import { moveInputs } from './archive-inputs.ts';
import { deleteOldEvaluations } from './delete-evaluations.ts';
import type { RetentionDeps } from './record.ts';

/** What is kept how long: the section `retention` of the configuration. */
export interface RetentionRules {
  archive_folder?: string | undefined;
  inputs_days?: number | undefined;
  evaluations_days?: number | undefined;
}

/** What the rules ask for: after how many days, and what takes out the next piece. */
export function retentionTasks(deps: RetentionDeps, rules: RetentionRules) {
  const { archive_folder: folder, inputs_days, evaluations_days } = rules;
  return [
    ...(inputs_days === undefined || folder === undefined
      ? []
      : [{ days: inputs_days, next: (before_ms: number) => moveInputs(deps, { before_ms, folder }) }]),
    ...(evaluations_days === undefined
      ? []
      : [{ days: evaluations_days, next: (before_ms: number) => deleteOldEvaluations(deps, { before_ms }) }]),
  ];
}
