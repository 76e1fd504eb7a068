import type { ControlDeps } from '../decide/control.ts';
import { write } from '../decide/write.ts';
import type { Logger } from '../logger.ts';
import { schedulerPrincipal } from '../principal.ts';
import { forgetAnswers, forgetUsedTokens } from '../store/installation.ts';
import { listDueRequests, postponeRequest } from '../store/requests.ts';
import { forgetRevocations } from '../store/revocations.ts';
import { forgetBrowserSessions } from '../store/sessions.ts';
import { look } from './look.ts';

/*
 * What time brings, a file for each job. The scheduler is a principal like any other and asks the writer like everybody; its
 * whole memory is in the store.
 */

/** How often the scheduler looks for work. */
const INTERVAL_MS = 1000;
/** How many requests it looks at before it asks again what is due. */
const BATCH = 100;
/** When it tries again what failed. */
const RETRY_MS = 60_000;
/** Answers for retried POSTs are kept this long. */
const ANSWERS_KEPT_MS = 24 * 60 * 60 * 1000;
/** Revocations of what has expired are shown this much longer. */
const REVOCATIONS_KEPT_MS = 24 * 60 * 60 * 1000;
/** Sessions that are over are kept this long, so that whoever looks into an incident finds them. */
const SESSIONS_KEPT_MS = 30 * 24 * 60 * 60 * 1000;
const HOUSEKEEPING_MS = 10 * 60 * 1000;
/** When it tries again to rotate a key that it could not rotate. */
const ROTATION_RETRY_MS = 60 * 60 * 1000;

/** Applies what is ready and expires what is over; it asks the writer like everybody else. */
export interface Scheduler {
  /** Looks once at everything that is due. Also called by the clock, once started. */
  tick(): Promise<void>;
  start(): void;
  /** Ends after the look at hand. */
  stop(): Promise<void>;
}

/**
 * Creates the scheduler. Its whole memory is the `due_ms` of each request, so a restart loses nothing; and each look
 * begins by reading the request again inside the transaction, so nothing is applied twice, however many schedulers
 * run.
 */
export function createScheduler({
  control,
  log,
  refreshPolicy,
  flushUsage,
  rotateDueKey,
}: {
  control: ControlDeps;
  log: Logger;
  /** Follows what other brokers on the same store have activated. */
  refreshPolicy: () => Promise<void>;
  /** Writes what has gathered about who uses what. */
  flushUsage: () => Promise<void>;
  /** Rotates the signing key if it is due. @returns the new key's id, or null */
  rotateDueKey: () => Promise<string | null>;
}): Scheduler {
  const call = { principal: schedulerPrincipal, credential: null, http_request_id: null };
  let timer: NodeJS.Timeout | null = null;
  let running: Promise<void> | null = null;
  let tidiedMs = 0;
  let rotateAgainMs = 0;

  async function tick(): Promise<void> {
    const ids = await listDueRequests(control.store.read, control.clock(), BATCH);
    for (const id of ids) {
      try {
        await write(control, call, async (writing) => look(writing, id));
      } catch (error) {
        log.error({ err: error, request: id }, 'the scheduler could not settle a request');
        await postpone(id);
      }
    }
    // What other brokers on the same store have activated and revoked.
    await refreshPolicy().catch((error: unknown) =>
      log.error({ err: error }, 'the active policy was not read'),
    );
    await control.revocations.refresh(control.store.read);
    await flushUsage();
    await tidy();
    await rotate();
  }

  /** What fails is looked at again later, so that it cannot keep others from their turn. */
  async function postpone(id: string): Promise<void> {
    const dueMs = control.clock() + RETRY_MS;
    await control.store.writer
      .write((tx) => postponeRequest(tx, id, dueMs))
      .catch((error: unknown) => log.error({ err: error, request: id }, 'a request could not be postponed'));
  }

  async function tidy(): Promise<void> {
    const nowMs = control.clock();
    if (nowMs - tidiedMs < HOUSEKEEPING_MS) return;
    tidiedMs = nowMs;
    await control.store.writer.write(async (tx) => {
      await forgetUsedTokens(tx, nowMs);
      await forgetAnswers(tx, nowMs - ANSWERS_KEPT_MS);
      await forgetBrowserSessions(tx, nowMs - SESSIONS_KEPT_MS);
      await forgetRevocations(tx, nowMs - REVOCATIONS_KEPT_MS);
    });
  }

  async function rotate(): Promise<void> {
    const nowMs = control.clock();
    if (nowMs < rotateAgainMs) return;
    rotateAgainMs = nowMs + HOUSEKEEPING_MS;
    try {
      const kid = await rotateDueKey();
      if (kid !== null) log.info({ kid }, 'the signing key was rotated');
    } catch (error) {
      // Each refusal is a record, so not every few minutes.
      rotateAgainMs = nowMs + ROTATION_RETRY_MS;
      log.warn({ err: error }, 'the signing key is overdue for rotation');
    }
  }

  function runTick(): void {
    if (running !== null) return;
    running = tick()
      .catch((error: unknown) => log.error({ err: error }, 'the scheduler could not look for work'))
      .finally(() => {
        running = null;
      });
  }

  return {
    tick,
    start: () => {
      timer ??= setInterval(runTick, INTERVAL_MS);
    },
    stop: async () => {
      if (timer !== null) clearInterval(timer);
      timer = null;
      await running;
    },
  };
}
