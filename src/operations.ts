import type { Principal } from './principal.ts';

/*
 * The closed list of what a principal can ask for, and the only place where it is said what each of them is. Guardrails,
 * the data of the shipped policy (`config/operations`), answers to "who can do what", help texts and docs/policy.md
 * derive from it or are checked against it (test/policy/operations).
 *
 * A new operation is one row here and one entry of policy data, which says the roles. A name is never taken out: old
 * inputs, trust rules and records have it. Pure data and pure functions of it; everybody may import this file.
 */

/** What kind of power an operation is the use of, for answers to "who can do what". */
export const CAPABILITIES = ['read', 'propose', 'approve', 'override', 'administer'] as const;

/** One of {@link CAPABILITIES}. */
export type Capability = (typeof CAPABILITIES)[number];

/** Who asks: a kind of principal, or `broker` for the broker's own workloads where no other workload may. */
export type Actor = Principal['kind'] | 'broker';

/** What is said of each operation. */
export interface OperationRow {
  /** One sentence for people. */
  says: string;
  /** Null for what everybody may do about themselves, and for what the broker does. */
  capability: Capability | null;
  /** Whether holding it is what shows the capability in answers to "who can do what". */
  shows: boolean;
  /** Who may do it under the shipped policy, given a role. */
  by: readonly Actor[];
  /** Who may never do it, whatever policy says: a guardrail holds it under every bundle. */
  never: readonly Principal['kind'][];
  /**
   * Where the role is needed: `request` in each namespace and environment that the request touches; `freeze` in all that
   * the freeze covers; `seen` in what is read; `somewhere`; `everywhere`; `own` for what is the caller's own, which asks
   * no role; `none` where something else grants it: authorship, a trust rule.
   */
  at: 'request' | 'freeze' | 'seen' | 'somewhere' | 'everywhere' | 'own' | 'none';
  /** The token audiences that it takes; none where the token is what it is about. */
  audiences: readonly ('control' | 'audit')[];
  /** When the decision becomes a record: a plain read changes nothing, and would drown the evidence. */
  recorded: 'always' | 'denied';
  /** What an allow may change at once: `broker` for freezes, sessions, tokens, revocations, keys and the policy. */
  changes: 'nothing' | 'requests' | 'flags' | 'broker';
  /** What becomes of it while a freeze covers its flags; `safe_only` lets switching off and narrowing pass. */
  under_freeze: 'passes' | 'safe_only' | 'refused';
  /** What becomes of it while somebody who wrote the request is disabled or revoked. */
  when_parked: 'passes' | 'waits';
  /** The name that it is asked under where a bundle does not know its own. */
  formerly: string | null;
}

/** Operations by name. What derives from the list takes it as an argument, so that a test can add a row. */
export type OperationList = Readonly<Record<string, OperationRow>>;

const EVERYBODY = ['person', 'workload', 'agent'] as const;
const PERSONS = ['person'] as const;
const AGENTS = ['agent'] as const;
const MACHINES = ['workload', 'agent'] as const;
const CONTROL = ['control'] as const;
const CONTROL_AND_AUDIT = ['control', 'audit'] as const;

const NOTHING_SPECIAL = {
  shows: false,
  by: EVERYBODY,
  never: [],
  audiences: CONTROL,
  recorded: 'always',
  under_freeze: 'passes',
  when_parked: 'passes',
  formerly: null,
} as const;

const READ = { ...NOTHING_SPECIAL, capability: 'read', at: 'seen', changes: 'nothing' } as const;
const PLAIN_READ = { ...READ, recorded: 'denied' } as const;
const AUDIT_READ = { ...READ, at: 'somewhere', audiences: CONTROL_AND_AUDIT } as const;
const PLAIN_AUDIT_READ = { ...AUDIT_READ, recorded: 'denied' } as const;

const AUTHORING = {
  ...NOTHING_SPECIAL,
  capability: 'propose',
  at: 'request',
  changes: 'requests',
  under_freeze: 'safe_only',
} as const;

const BY_PERSONS = { ...NOTHING_SPECIAL, by: PERSONS, never: AGENTS, changes: 'broker' } as const;
const VOTE = { ...BY_PERSONS, capability: 'approve', at: 'request', changes: 'requests' } as const;
const OVERRIDE = { ...BY_PERSONS, capability: 'override', at: 'somewhere' } as const;
const OWN_SESSION = { ...BY_PERSONS, capability: null, at: 'own' } as const;
const ADMINISTER = { ...BY_PERSONS, capability: 'administer', at: 'everywhere' } as const;
const PROVISIONING = { ...ADMINISTER, by: ['person', 'workload'] } as const;

/** The list. An operation that is not here does not exist, and policy denies it. */
export const OPERATIONS = {
  'request.propose': {
    ...AUTHORING,
    shows: true,
    changes: 'flags',
    when_parked: 'waits',
    says: 'Propose a change; it is applied at once where nothing is missing.',
  },
  'request.read': { ...PLAIN_READ, says: 'Read change requests and who voted on them.' },
  'request.edit': {
    ...AUTHORING,
    says: "Edit a request of one's own, or put it on the flags as they are now.",
  },
  'request.approve': {
    ...VOTE,
    shows: true,
    never: MACHINES,
    says: 'Approve exactly the content that was read.',
  },
  'request.reject': { ...VOTE, says: 'Reject a request for good.' },
  'request.withdraw': {
    ...AUTHORING,
    at: 'none',
    under_freeze: 'passes',
    says: "Take back a request of one's own.",
  },
  'request.schedule': {
    ...AUTHORING,
    when_parked: 'waits',
    says: "Say when a request of one's own is applied.",
  },
  'request.apply': {
    ...AUTHORING,
    changes: 'flags',
    when_parked: 'waits',
    says: 'Apply a request for which nothing is missing.',
  },
  'request.expire': {
    ...AUTHORING,
    capability: null,
    by: ['workload'],
    at: 'somewhere',
    under_freeze: 'passes',
    says: 'End a request whose time is over.',
  },
  'flag.read': { ...PLAIN_READ, shows: true, says: 'Read flags, their states and their history.' },
  'decision.read': { ...AUDIT_READ, says: 'Read the decision log.' },
  'freeze.engage': { ...OVERRIDE, at: 'freeze', shows: true, says: 'Freeze writes at once.' },
  'freeze.read': { ...PLAIN_READ, says: 'Read freezes.' },
  'breakglass.open': { ...OVERRIDE, shows: true, says: 'Open a break-glass session.' },
  'breakglass.apply': {
    ...OVERRIDE,
    at: 'request',
    changes: 'flags',
    says: 'Make flags safer in an open break-glass session.',
  },
  'breakglass.close': { ...OVERRIDE, says: "Close a break-glass session of one's own." },
  'breakglass.read': { ...PLAIN_READ, formerly: 'freeze.read', says: 'Read break-glass sessions.' },
  'token.exchange': {
    ...NOTHING_SPECIAL,
    capability: null,
    by: MACHINES,
    at: 'none',
    audiences: [],
    changes: 'broker',
    says: "Exchange a platform's token for one of Countersign.",
  },
  'token.introspect': { ...PLAIN_AUDIT_READ, says: "Learn what somebody else's token is worth now." },
  'token.revoke': {
    ...NOTHING_SPECIAL,
    capability: null,
    at: 'own',
    audiences: [],
    changes: 'broker',
    says: "Give up a token of one's own.",
  },
  'agent.delegate': {
    ...BY_PERSONS,
    capability: 'propose',
    never: MACHINES,
    at: 'somewhere',
    says: 'Let an agent act for the person who asks.',
  },
  'session.open': { ...OWN_SESSION, says: 'Sign in with a browser.' },
  'session.return': {
    ...OWN_SESSION,
    formerly: 'session.open',
    says: "Be back after a logout at the identity provider, so that one's requests wait no longer.",
  },
  'session.read': {
    ...OWN_SESSION,
    recorded: 'denied',
    changes: 'nothing',
    says: "Read one's own browser sessions.",
  },
  'session.end': { ...OWN_SESSION, says: "End a browser session of one's own." },
  'revocation.add': {
    ...ADMINISTER,
    shows: true,
    says: 'Revoke a token, a session, a subject, a key or more.',
  },
  'revocation.preview': {
    ...ADMINISTER,
    recorded: 'denied',
    changes: 'nothing',
    formerly: 'revocation.add',
    says: 'Learn what a revocation would hit.',
  },
  'revocation.read': { ...PLAIN_AUDIT_READ, says: 'Read revocations.' },
  'revocation.drill': {
    ...ADMINISTER,
    says: 'Prove that revocation works, on a token made for it.',
  },
  'principal.read': { ...PLAIN_READ, at: 'everywhere', says: 'Read who is known, and who is disabled.' },
  'principal.disable': { ...PROVISIONING, says: 'Disable a person, or delete them at the provider.' },
  'principal.enable': { ...PROVISIONING, says: 'Enable a person again.' },
  'access.read': { ...AUDIT_READ, says: 'Read who may do what, and by which binding.' },
  'trust.test': {
    ...READ,
    at: 'somewhere',
    says: "Learn what an exchange of a platform's token would come to.",
  },
  'key.read': { ...PLAIN_AUDIT_READ, formerly: 'policy.read', says: 'Read the signing keys.' },
  'key.rotate': { ...ADMINISTER, by: ['person', 'broker'], says: 'Sign with a new key from now on.' },
  'policy.read': { ...PLAIN_AUDIT_READ, says: 'Read policies.' },
  'policy.activate': { ...ADMINISTER, shows: true, says: 'Activate a policy bundle.' },
} as const satisfies OperationList;

/** The name of an operation. */
export type Operation = keyof typeof OPERATIONS;

/** An operation whose decision is recorded only when it is a denial. */
export type PlainRead = {
  [Name in Operation]: (typeof OPERATIONS)[Name]['recorded'] extends 'denied' ? Name : never;
}[Operation];

/** All operation names, as a non-empty tuple for schemas. */
export const OPERATION_NAMES = Object.keys(OPERATIONS) as [Operation, ...Operation[]];

/** What policy data says of an operation besides the roles that grant it. */
export interface OperationData {
  at: string;
  audiences: readonly string[];
  by: readonly string[];
  under_freeze: string;
  /** The capability that it shows; absent where it shows none. */
  shows?: Capability;
}

/** What `data.config.operations` of the shipped policy has to say of each operation, beside its `roles`. */
export function policyDataOf(operations: OperationList): Record<string, OperationData> {
  return Object.fromEntries(
    Object.entries(operations).map(([name, { at, audiences, by, under_freeze, shows, capability }]) => [
      name,
      { at, audiences, by, under_freeze, ...(shows && capability !== null && { shows: capability }) },
    ]),
  );
}

/**
 * The name under which a bundle is asked about an operation: its newest one that the bundle knows. One that knows none of
 * its names (it may say nothing of operations at all) was written before there was a newer, and is asked the oldest.
 */
export function askedName<Name extends string>(
  operation: Name,
  known: ReadonlySet<string>,
  operations: Readonly<Partial<Record<Name, { formerly: Name | null }>>>,
): Name {
  let oldest = operation;
  for (let name: Name | null = operation; name !== null; name = operations[name]?.formerly ?? null) {
    if (known.has(name)) return name;
    oldest = name;
  }
  return oldest;
}

/** The operations that a kind of principal may ask for under the shipped policy, given a role. */
export function operationsBy(actor: Actor, operations: OperationList): string[] {
  return Object.entries(operations).flatMap(([name, { by }]) => (by.includes(actor) ? [name] : []));
}
