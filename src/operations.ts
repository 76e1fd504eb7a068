/**
 * The closed list of what a principal can ask for. Routes, policy input and records all derive from it; an operation
 * that is not here does not exist, and policy denies it.
 *
 * `recorded` says when the decision becomes a record: `always`, or for plain reads of flag and request state only
 * when it is denied (a read changes nothing and would drown the evidence).
 */
export const OPERATIONS = {
  'request.propose': { recorded: 'always' },
  'request.read': { recorded: 'denied' },
  'request.edit': { recorded: 'always' },
  'request.approve': { recorded: 'always' },
  'request.reject': { recorded: 'always' },
  'request.withdraw': { recorded: 'always' },
  'request.schedule': { recorded: 'always' },
  'request.apply': { recorded: 'always' },
  'request.expire': { recorded: 'always' },
  'flag.read': { recorded: 'denied' },
  'decision.read': { recorded: 'always' },
  'freeze.engage': { recorded: 'always' },
  'freeze.read': { recorded: 'denied' },
  'breakglass.open': { recorded: 'always' },
  'breakglass.apply': { recorded: 'always' },
  'breakglass.close': { recorded: 'always' },
  'token.exchange': { recorded: 'always' },
  'key.rotate': { recorded: 'always' },
  'policy.read': { recorded: 'denied' },
  'policy.activate': { recorded: 'always' },
} as const satisfies Record<string, { recorded: 'always' | 'denied' }>;

/** The name of an operation. */
export type Operation = keyof typeof OPERATIONS;

/** All operation names, as a non-empty tuple for schemas. */
export const OPERATION_NAMES = Object.keys(OPERATIONS) as [Operation, ...Operation[]];
