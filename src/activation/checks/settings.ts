import { z } from 'zod';
import type { Policy } from '../../policy/policies.ts';

/** The newest records that a backtest replays unless the policy says otherwise. */
const BACKTEST_RECORDS = 10_000;

/** The processor's time that one evaluation may take: a hundred times that of the shipped policy, on a slow machine. */
const EVALUATION_MS = 1000;

const schema = z.looseObject({
  config: z.looseObject({
    checks: z.looseObject({
      backtest_records: z.int().min(0).default(BACKTEST_RECORDS),
      evaluation_ms: z.int().min(1).default(EVALUATION_MS),
    }),
  }),
});

/** How candidates are checked. */
export interface CheckSettings {
  backtest_records: number;
  /** In milliseconds. */
  evaluation_ms: number;
}

/** What a policy says in `data.config.checks`. It is the active one, so that no candidate loosens its own checks. */
export function settingsOf({ data }: Pick<Policy, 'data'>): CheckSettings {
  const parsed = schema.safeParse(data);
  return parsed.success
    ? parsed.data.config.checks
    : { backtest_records: BACKTEST_RECORDS, evaluation_ms: EVALUATION_MS };
}
