import type { ControlDeps } from '../decide/control.ts';
import { DAY_MS } from '../moment.ts';
import { batchOf } from '../store/batch.ts';
import { forgetAnswers, forgetUsedTokens } from '../store/installation.ts';
import { dropRetiredLogKeys } from '../store/log-keys.ts';
import { overBefore } from '../store/passed-time.ts';
import { forgetRelays } from '../store/relays.ts';
import { forgetRevocations } from '../store/revocations.ts';
import { forgetBrowserSessions } from '../store/sessions.ts';
import type { ScheduledJob } from './scheduler.ts';

const EVERY_MS = 10 * 60 * 1000;
/** The retention of answers for retried POSTs. */
const ANSWERS_KEPT_MS = DAY_MS;
/** The retention of revocations whose credential has expired. */
const REVOCATIONS_KEPT_MS = DAY_MS;
/** The retention of what relays serve that do not report any more. */
const RELAYS_KEPT_MS = 30 * DAY_MS;
/** The retention of ended sessions, for incident investigations. */
const SESSIONS_KEPT_MS = 30 * DAY_MS;

/** Deletes rows that are no longer needed, by the only rule of what is over: {@link overBefore}. None of them is evidence. */
export function housekeeping({ store, clock }: Pick<ControlDeps, 'store' | 'clock'>): ScheduledJob {
  let doneMs = 0;
  return {
    name: 'housekeeping',
    writes: true,
    alone: true,
    run: async () => {
      const nowMs = clock();
      // A clock that was set back is a reason to look at it at once.
      if (nowMs >= doneMs && nowMs - doneMs < EVERY_MS) return;
      doneMs = nowMs;
      await store.writer.write(async (tx) => {
        const overMs = await overBefore(tx);
        if (overMs === null) return;
        await dropRetiredLogKeys(tx, batchOf(tx).head.epoch, overMs);
        await forgetUsedTokens(tx, overMs);
        await forgetAnswers(tx, overMs - ANSWERS_KEPT_MS);
        await forgetBrowserSessions(tx, overMs - SESSIONS_KEPT_MS);
        await forgetRelays(tx, overMs - RELAYS_KEPT_MS);
        await forgetRevocations(tx, overMs - REVOCATIONS_KEPT_MS);
      });
    },
  };
}
