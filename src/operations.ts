/** What kind of power an operation is the use of, for answers to "who can do what". */
export type Capability = 'read' | 'propose' | 'approve' | 'override' | 'administer';

/**
 * The closed list of what a principal can ask for. Routes, policy input and records all derive from it; an operation
 * that is not here does not exist, and policy denies it.
 *
 * `recorded` says when the decision becomes a record: `always`, or for plain reads of flag and request state only
 * when it is denied (a read changes nothing and would drown the evidence). `capability` is null for what everybody may
 * do about themselves, and for what the broker does.
 */
export const OPERATIONS = {
  'request.propose': { recorded: 'always', capability: 'propose' },
  'request.read': { recorded: 'denied', capability: 'read' },
  'request.edit': { recorded: 'always', capability: 'propose' },
  'request.approve': { recorded: 'always', capability: 'approve' },
  'request.reject': { recorded: 'always', capability: 'approve' },
  'request.withdraw': { recorded: 'always', capability: 'propose' },
  'request.schedule': { recorded: 'always', capability: 'propose' },
  'request.apply': { recorded: 'always', capability: 'propose' },
  'request.expire': { recorded: 'always', capability: null },
  'flag.read': { recorded: 'denied', capability: 'read' },
  'decision.read': { recorded: 'always', capability: 'read' },
  'freeze.engage': { recorded: 'always', capability: 'override' },
  'freeze.read': { recorded: 'denied', capability: 'read' },
  'breakglass.open': { recorded: 'always', capability: 'override' },
  'breakglass.apply': { recorded: 'always', capability: 'override' },
  'breakglass.close': { recorded: 'always', capability: 'override' },
  'token.exchange': { recorded: 'always', capability: null },
  'token.introspect': { recorded: 'denied', capability: 'read' },
  'token.revoke': { recorded: 'always', capability: null },
  'agent.delegate': { recorded: 'always', capability: 'propose' },
  'session.open': { recorded: 'always', capability: null },
  'session.read': { recorded: 'denied', capability: null },
  'session.end': { recorded: 'always', capability: null },
  'revocation.add': { recorded: 'always', capability: 'administer' },
  'revocation.read': { recorded: 'denied', capability: 'read' },
  'revocation.drill': { recorded: 'always', capability: 'administer' },
  'principal.read': { recorded: 'denied', capability: 'read' },
  'principal.disable': { recorded: 'always', capability: 'administer' },
  'principal.enable': { recorded: 'always', capability: 'administer' },
  'access.read': { recorded: 'always', capability: 'read' },
  'trust.test': { recorded: 'always', capability: 'read' },
  'key.rotate': { recorded: 'always', capability: 'administer' },
  'policy.read': { recorded: 'denied', capability: 'read' },
  'policy.activate': { recorded: 'always', capability: 'administer' },
} as const satisfies Record<string, { recorded: 'always' | 'denied'; capability: Capability | null }>;

/** The name of an operation. */
export type Operation = keyof typeof OPERATIONS;

/** All operation names, as a non-empty tuple for schemas. */
export const OPERATION_NAMES = Object.keys(OPERATIONS) as [Operation, ...Operation[]];
