import type { ControlDeps } from '../decide/control.ts';
import { DAY_MS } from '../moment.ts';
import { forgetAnswers, forgetUsedTokens } from '../store/installation.ts';
import { forgetRevocations } from '../store/revocations.ts';
import { forgetBrowserSessions } from '../store/sessions.ts';
import type { ScheduledJob } from './scheduler.ts';

const EVERY_MS = 10 * 60 * 1000;
/** Answers for retried POSTs are kept this long. */
const ANSWERS_KEPT_MS = DAY_MS;
/** Revocations of what has expired are shown this much longer. */
const REVOCATIONS_KEPT_MS = DAY_MS;
/** Sessions that are over are kept this long, so that whoever looks into an incident finds them. */
const SESSIONS_KEPT_MS = 30 * DAY_MS;

/** Forgets what nobody needs any more. None of it is evidence. */
export function housekeeping({ store, clock }: Pick<ControlDeps, 'store' | 'clock'>): ScheduledJob {
  let doneMs = 0;
  return {
    name: 'housekeeping',
    run: async () => {
      const nowMs = clock();
      if (nowMs - doneMs < EVERY_MS) return;
      doneMs = nowMs;
      await store.writer.write(async (tx) => {
        await forgetUsedTokens(tx, nowMs);
        await forgetAnswers(tx, nowMs - ANSWERS_KEPT_MS);
        await forgetBrowserSessions(tx, nowMs - SESSIONS_KEPT_MS);
        await forgetRevocations(tx, nowMs - REVOCATIONS_KEPT_MS);
      });
    },
  };
}
