import type { RecordView } from '../../../audit/view.ts';
import type { RECORDED_NAMES } from '../../../operations.ts';

/*
 * Decisions in words: what was asked for, where, and by whom. The words are ours; the names are those of the record.
 */

/** What is recorded. */
export type RecordedName = (typeof RECORDED_NAMES)[number];

/** What was asked for, by operation. It says nothing of the answer. */
export const OPERATION_WORDS: Readonly<Record<RecordedName, string>> = {
  'request.propose': 'Propose a request',
  'request.read': 'Read requests',
  'request.edit': 'Edit a request',
  'request.approve': 'Approve a request',
  'request.reject': 'Reject a request',
  'request.comment': 'Comment on a request',
  'request.ask_changes': 'Ask for changes of a request',
  'request.withdraw': 'Withdraw a request',
  'request.schedule': 'Schedule a request',
  'request.apply': 'Apply a request',
  'request.expire': 'End a request after its time',
  'flag.read': 'Read flags',
  'decision.read': 'Read the decision log',
  'log.read': 'Read the leaves of the log',
  'erasure.preview': 'Look at what an erasure would erase',
  'freeze.engage': 'Engage a freeze',
  'freeze.read': 'Read freezes',
  'breakglass.open': 'Open a break-glass session',
  'breakglass.apply': 'Make something safer in a break-glass session',
  'breakglass.close': 'Close a break-glass session',
  'breakglass.read': 'Read break-glass sessions',
  'token.exchange': 'Exchange a token',
  'token.introspect': 'Introspect a token',
  'token.revoke': 'Revoke a token',
  'agent.delegate': 'Let an agent act',
  'session.open': 'Sign in with a browser',
  'session.return': 'Return to a browser session',
  'session.read': 'Read sessions of one’s own',
  'session.end': 'End a session',
  'revocation.add': 'Revoke credentials',
  'revocation.preview': 'Look at what a revocation would affect',
  'revocation.read': 'Read revocations',
  'revocation.drill': 'Run a drill of revocation',
  'principal.read': 'Read provisioned users',
  'principal.disable': 'Disable a person',
  'principal.enable': 'Enable a person',
  'access.read': 'Read who may do what',
  'trust.test': 'Test a trust rule',
  'key.read': 'Read the signing keys',
  'key.rotate': 'Rotate a signing key',
  'policy.read': 'Read a policy',
  'policy.upload': 'Store a policy bundle',
  'policy.activate': 'Activate a policy bundle',
  'clock.accept': 'Accept a clock that is behind',
  'restore.accept': 'Accept a restored copy of the database',
  'denials.counted': 'Count repeated denials of one minute',
  'evaluations.counted': 'Count who evaluated which flag',
  'snapshot.publish': 'Publish a snapshot',
  'evaluations.deleted': 'Delete old counts of evaluations',
  'inputs.archived': 'Move old inputs to an archive',
};

/** Who a decision is about: the person, or else the principal. */
export function whoOf({ principal }: Pick<RecordView, 'principal'>): string {
  return principal.person ?? principal.id;
}

/** What was asked for, where and about which flags, without who asked. */
export function deedInWords({ operation, environment, flags }: RecordView): string {
  const deed = OPERATION_WORDS[operation as RecordedName] ?? operation;
  const keys = [...new Set(flags.map(({ flag }) => flag))];
  const about = keys.length === 0 ? '' : ` about ${keys.slice(0, 3).join(', ')}`;
  const more = keys.length > 3 ? ` and ${keys.length - 3} more` : '';
  const place = environment === null ? '' : ` in ${environment}`;
  return `${deed}${about}${more}${place}`;
}

type Obligation = RecordView['outcome']['obligations'][number];

/** What an obligation asks for. */
export function obligationInWords(obligation: Obligation): string {
  switch (obligation.kind) {
    case 'approval': {
      const { count, role, organization } = obligation;
      const whose = organization === undefined ? '' : ` for ${organization}`;
      return `${count} more ${count === 1 ? 'approval' : 'approvals'} by ${role}${whose}`;
    }
    case 'ticket':
      return `a ticket like ${obligation.pattern}`;
    case 'window':
      return obligation.windows.length === 0
        ? 'its time'
        : `an open change window: ${obligation.windows.join(' or ')}`;
    case 'blackout':
      return `the end of ${obligation.blackouts.join(', ')}`;
    case 'cosigned':
      return 'the cosignatures of the witnesses of the log';
    case 'sign_in':
      return `a sign-in of level ${obligation.level} by the ${obligation.who}`;
  }
}
