import type { RequestView } from '../../requests/view.ts';

/** Exit statuses, so that a pipeline can branch without parsing the output. */
export const EXIT = {
  /** The request was applied, or the command succeeded. */
  done: 0,
  error: 1,
  usage: 2,
  /** The request is pending or ready: it waits for people or for a time. */
  waiting: 3,
  /** Denied by policy, or rejected by a person. */
  denied: 4,
  /** The flags or the request are no longer what the command is about. */
  conflict: 5,
  /** A replayed decision did not come out as it was recorded, or a log or a proof is not valid. */
  different: 6,
  /** There is no sign-in or token that is accepted, so nothing was decided. */
  signIn: 7,
  /** A log is valid, and too few of the given witnesses have cosigned it. */
  unwitnessed: 8,
  /** The request was applied, and what is served of it is not known to be right, or not everywhere in time. */
  unserved: 9,
  /** The store failed in a way that requires a restart (`EX_SOFTWARE` of sysexits.h). */
  restart: 70,
} as const;

/** One of the exit statuses. */
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** What each exit status means. docs/commands.md is generated from it. */
export const EXIT_CODES: readonly { status: number; means: string }[] = [
  { status: EXIT.done, means: 'applied, or done' },
  { status: EXIT.error, means: 'error: the broker cannot be reached, or refused the call' },
  {
    status: EXIT.usage,
    means: 'usage: the command line or the configuration is wrong; nothing was sent',
  },
  { status: EXIT.waiting, means: 'pending or ready: the request waits for people or for a time' },
  {
    status: EXIT.denied,
    means: 'denied by policy, or rejected',
  },
  {
    status: EXIT.conflict,
    means:
      'conflict: the flags or the request have changed, it was withdrawn or has expired, or the current state does not allow it',
  },
  {
    status: EXIT.different,
    means:
      'replay and verify: a decision did not come out as it was recorded, or the log or the proof is not valid',
  },
  {
    status: EXIT.signIn,
    means: 'not signed in, or the sign-in or token is not accepted; nothing was decided',
  },
  {
    status: EXIT.unwitnessed,
    means: 'verify: the log is valid, but too few of the given witnesses have cosigned it',
  },
  {
    status: EXIT.unserved,
    means:
      'propose --wait=served: applied, but a connected relay does not serve it in time, or something else is served',
  },
  { status: EXIT.restart, means: 'serve only: the store failed; a supervisor should restart the broker' },
  { status: 130, means: 'serve only: ended by a second signal before work in flight completed' },
];

/** The help text for exit statuses. */
export const EXIT_HELP = `
Exit status:
${EXIT_CODES.map(({ status, means }) => `  ${`${status}`.padEnd(2)} ${means}`).join('\n')}

propose, edit, rebase, apply, lift, revocations lift and break-glass apply exit with the state of the request. All
other commands exit with 0 on success.`;

/** The exit status for a request's state. */
export function exitOfState(state: RequestView['state']): ExitCode {
  switch (state) {
    case 'applied':
      return EXIT.done;
    case 'pending':
    case 'ready':
      return EXIT.waiting;
    case 'rejected':
      return EXIT.denied;
    case 'withdrawn':
    case 'expired':
    case 'conflicted':
      return EXIT.conflict;
  }
}

/** Refusals caused by a conflict, which a retry on fresh data may resolve. */
const CONFLICTS: ReadonlySet<string> = new Set([
  'request_conflicted',
  'request_closed',
  'digest_mismatch',
  'state_conflict',
  'precondition_failed',
  'weak_validator',
  'idempotency_key_reused',
]);

/** Refusals because nobody knows who is calling, or how surely. */
const SIGN_INS: ReadonlySet<string> = new Set(['sign_in_required', 'unauthenticated', 'token_invalid']);

/** The exit status for a problem code of the broker. */
export function exitOfProblem(code: string): ExitCode {
  if (code === 'policy_denied') return EXIT.denied;
  if (SIGN_INS.has(code)) return EXIT.signIn;
  return CONFLICTS.has(code) ? EXIT.conflict : EXIT.error;
}
