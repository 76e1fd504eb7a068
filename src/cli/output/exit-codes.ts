import type { RequestView } from '../../requests/view.ts';

/** What the exit status says, so that a pipeline can branch without reading the output. */
export const EXIT = {
  /** Applied, or the command did what it was asked to. */
  done: 0,
  error: 1,
  usage: 2,
  /** The request is pending or ready: it waits for people or for the clock. */
  waiting: 3,
  /** Denied by policy, refused for want of a sign-in, or closed by rejection, withdrawal or expiry. */
  denied: 4,
  conflict: 5,
  /** The store failed in a way that only a restart can mend (`EX_SOFTWARE` of sysexits.h). */
  restart: 70,
} as const;

/** One of the exit statuses. */
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** The exit statuses for `--help`. */
export const EXIT_HELP = `
Exit status:
  0  applied, or done
  1  error: the broker cannot be reached, or refuses what it was sent
  2  usage: the command line or the configuration is wrong; nothing was sent
  3  pending or ready: the request waits for people or for the clock
  4  denied by policy, no valid sign-in, or the request was rejected, withdrawn or has expired
  5  conflict: the flags or the request have changed, or the present state does not allow it
  70 serve only: the store failed, and a supervisor should start the broker again
  130 serve only: ended by a second signal before everything was finished

propose, edit, rebase, apply, lift, revocations lift and break-glass apply exit by the state of the request; the other
commands exit with 0 when they did what they were asked to.`;

/** The exit status that stands for a request's state. */
export function exitOfState(state: RequestView['state']): ExitCode {
  switch (state) {
    case 'applied':
      return EXIT.done;
    case 'pending':
    case 'ready':
      return EXIT.waiting;
    case 'rejected':
    case 'withdrawn':
    case 'expired':
      return EXIT.denied;
    case 'conflicted':
      return EXIT.conflict;
  }
}

/** Refusals that another moment or another reading would answer otherwise. */
const CONFLICTS: ReadonlySet<string> = new Set([
  'request_conflicted',
  'request_closed',
  'digest_mismatch',
  'state_conflict',
  'precondition_failed',
  'idempotency_key_reused',
]);

/** Refusals of the caller. */
const DENIALS: ReadonlySet<string> = new Set([
  'policy_denied',
  'sign_in_required',
  'unauthenticated',
  'token_invalid',
]);

/** The exit status that stands for a problem code of the broker. */
export function exitOfProblem(code: string): ExitCode {
  if (DENIALS.has(code)) return EXIT.denied;
  return CONFLICTS.has(code) ? EXIT.conflict : EXIT.error;
}
