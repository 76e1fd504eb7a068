import type { Principal } from './principal.ts';

/*
 * The closed list of operations, and the only place where their properties are defined. Guardrails, the data of the shipped
 * policy (`config/operations`), access reviews, help texts and docs/policy.md are derived from it or checked against it
 * (test/policy/operations).
 *
 * A new operation is one row here and one entry of policy data, which lists the roles. A name is never removed, because old
 * inputs, trust rules and records contain it. Pure data and pure functions; any file may import this one.
 */

/** The capabilities that operations require, for access reviews. */
export const CAPABILITIES = ['read', 'propose', 'approve', 'override', 'administer'] as const;

/** One of {@link CAPABILITIES}. */
export type Capability = (typeof CAPABILITIES)[number];

/** A kind of principal, or `broker` for operations that only the broker's own workloads may use. */
export type Actor = Principal['kind'] | 'broker';

/** The properties of an operation. */
export interface OperationRow {
  /** One sentence for people. */
  says: string;
  /** Null for operations on the caller's own credentials, and for operations of the broker. */
  capability: Capability | null;
  /** Whether the operation is the one that indicates its capability in access reviews. */
  shows: boolean;
  /** Who may do it under the shipped policy, given a role. */
  by: readonly Actor[];
  /** Who may never do it under any policy; a guardrail enforces this. */
  never: readonly Principal['kind'][];
  /**
   * Where the role is required: `request`: in each namespace and environment that the request touches; `freeze`: in
   * everything that the freeze covers; `seen`: in what is read; `somewhere`; `everywhere`; `own`: on the caller's own
   * objects, without a role; `none`: granted by something else, such as authorship or a trust rule.
   */
  at: 'request' | 'freeze' | 'seen' | 'somewhere' | 'everywhere' | 'own' | 'none';
  /** The accepted token audiences; empty if the operation is about the token itself. */
  audiences: readonly ('control' | 'audit')[];
  /**
   * When the decision is recorded. Allowed plain reads change nothing and are not recorded (`denied`), except those that show
   * flags which the policy calls sensitive (`sensitive`).
   */
  recorded: 'always' | 'sensitive' | 'denied';
  /** What an allow may change at once: `broker` for freezes, sessions, tokens, revocations, keys and the policy. */
  changes: 'nothing' | 'requests' | 'flags' | 'broker';
  /** Whether it may proceed while a freeze covers its flags; `safe_only` permits only what is safe. */
  under_freeze: 'passes' | 'safe_only' | 'refused';
  /** Whether it may proceed while an author of the request is disabled or revoked. */
  when_parked: 'passes' | 'waits';
  /** Its place among calls that wait: an `emergency` goes before every `ordinary` call, wherever calls wait. */
  lane: Lane;
  /** Its former name, for bundles that do not have the current one. */
  formerly: string | null;
}

/** The lanes of calls that wait. */
export type Lane = 'ordinary' | 'emergency';

/** Operations by name. Code that derives from the list takes it as an argument, so that tests can add rows. */
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
  lane: 'ordinary',
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
const FIRST = { lane: 'emergency' } as const;
const OVERRIDE = { ...BY_PERSONS, capability: 'override', at: 'somewhere' } as const;
const OWN_SESSION = { ...BY_PERSONS, capability: null, at: 'own' } as const;
const ADMINISTER = { ...BY_PERSONS, capability: 'administer', at: 'everywhere' } as const;
const PROVISIONING = { ...ADMINISTER, by: ['person', 'workload'] } as const;

/** The list. An operation that is not here does not exist and is denied. */
export const OPERATIONS = {
  'request.propose': {
    ...AUTHORING,
    shows: true,
    changes: 'flags',
    when_parked: 'waits',
    says: 'Propose a change; it is applied at once if nothing is missing.',
  },
  'request.read': { ...PLAIN_READ, says: 'Read change requests and who voted on them.' },
  'request.edit': {
    ...AUTHORING,
    says: "Edit one's own request, or rebase it onto the current flags.",
  },
  'request.approve': {
    ...VOTE,
    shows: true,
    never: MACHINES,
    says: 'Approve exactly the content that was read.',
  },
  'request.reject': { ...VOTE, says: 'Reject a request permanently.' },
  'request.ask_changes': {
    ...VOTE,
    formerly: 'request.reject',
    says: 'Ask for changes of a request, which is not applied as it is.',
  },
  'request.comment': {
    ...NOTHING_SPECIAL,
    capability: 'read',
    at: 'seen',
    changes: 'requests',
    formerly: 'request.read',
    says: 'Comment on a request.',
  },
  'request.withdraw': {
    ...AUTHORING,
    at: 'none',
    under_freeze: 'passes',
    says: "Withdraw one's own request.",
  },
  'request.schedule': {
    ...AUTHORING,
    when_parked: 'waits',
    says: "Schedule when one's own request is applied.",
  },
  'request.apply': {
    ...AUTHORING,
    changes: 'flags',
    when_parked: 'waits',
    says: 'Apply a request that meets all requirements.',
  },
  'request.expire': {
    ...AUTHORING,
    capability: null,
    by: ['workload'],
    at: 'somewhere',
    under_freeze: 'passes',
    says: 'Expire a request whose time to live has passed.',
  },
  'flag.read': {
    ...PLAIN_READ,
    recorded: 'sensitive',
    shows: true,
    says: 'Read flags, their states and their history.',
  },
  'decision.read': { ...AUDIT_READ, says: 'Read the decision log, and who evaluated which flag.' },
  'log.read': {
    ...PLAIN_AUDIT_READ,
    at: 'everywhere',
    formerly: 'decision.read',
    says: "Read the log's tree: its leaves, tiles and proofs.",
  },
  'erasure.preview': {
    ...AUDIT_READ,
    at: 'everywhere',
    by: PERSONS,
    never: MACHINES,
    says: 'Preview what erasing a person would erase, by their name or their pseudonym.',
  },
  'freeze.engage': {
    ...OVERRIDE,
    ...FIRST,
    at: 'freeze',
    shows: true,
    says: 'Freeze writes at once.',
  },
  'freeze.read': { ...PLAIN_READ, says: 'Read freezes.' },
  'breakglass.open': { ...OVERRIDE, ...FIRST, shows: true, says: 'Open a break-glass session.' },
  'breakglass.apply': {
    ...OVERRIDE,
    ...FIRST,
    at: 'request',
    changes: 'flags',
    says: 'Make flags safer in an open break-glass session.',
  },
  'breakglass.close': { ...OVERRIDE, ...FIRST, says: "Close one's own break-glass session." },
  'breakglass.read': { ...PLAIN_READ, formerly: 'freeze.read', says: 'Read break-glass sessions.' },
  'token.exchange': {
    ...NOTHING_SPECIAL,
    capability: null,
    by: EVERYBODY,
    at: 'none',
    audiences: [],
    changes: 'broker',
    says: "Exchange a platform's token for a Countersign token; as a person, for one that reads flags.",
  },
  'token.introspect': { ...PLAIN_AUDIT_READ, says: "Introspect another principal's token." },
  'token.revoke': {
    ...NOTHING_SPECIAL,
    capability: null,
    at: 'own',
    audiences: [],
    changes: 'broker',
    says: "Revoke one's own token.",
  },
  'agent.delegate': {
    ...BY_PERSONS,
    capability: 'propose',
    never: MACHINES,
    at: 'somewhere',
    says: 'Let an agent act for the calling person.',
  },
  'session.open': { ...OWN_SESSION, says: 'Sign in with a browser.' },
  'session.return': {
    ...OWN_SESSION,
    formerly: 'session.open',
    says: "Return after a logout at the identity provider, which unparks one's requests.",
  },
  'session.read': {
    ...OWN_SESSION,
    recorded: 'denied',
    changes: 'nothing',
    says: "Read one's own browser sessions.",
  },
  'session.end': { ...OWN_SESSION, says: "End one's own browser session." },
  'revocation.add': {
    ...ADMINISTER,
    ...FIRST,
    shows: true,
    says: 'Revoke a token, a session, a subject, a key or more.',
  },
  'revocation.preview': {
    ...ADMINISTER,
    ...FIRST,
    recorded: 'denied',
    changes: 'nothing',
    formerly: 'revocation.add',
    says: 'Preview what a revocation would hit.',
  },
  'revocation.read': { ...PLAIN_AUDIT_READ, says: 'Read revocations.' },
  'revocation.drill': {
    ...ADMINISTER,
    says: 'Prove that revocation works, with a token issued for the drill.',
  },
  'principal.read': {
    ...PLAIN_READ,
    at: 'everywhere',
    says: 'Read known persons and whether they are disabled.',
  },
  'principal.disable': { ...PROVISIONING, says: 'Disable a person, or mark them as deleted.' },
  'principal.enable': { ...PROVISIONING, says: 'Enable a person again.' },
  'access.read': { ...AUDIT_READ, says: 'Read who may do what, and by which binding.' },
  'trust.test': {
    ...READ,
    at: 'somewhere',
    says: "Test what the exchange of a platform's token would yield.",
  },
  'key.read': { ...PLAIN_AUDIT_READ, formerly: 'policy.read', says: 'Read the signing keys.' },
  'key.rotate': { ...ADMINISTER, by: ['person', 'broker'], says: 'Rotate the signing key.' },
  'policy.read': { ...PLAIN_AUDIT_READ, says: 'Read policies.' },
  'policy.upload': {
    ...ADMINISTER,
    by: ['person', 'workload'],
    formerly: 'policy.activate',
    says: 'Store a policy bundle, without activating it.',
  },
  'policy.activate': { ...ADMINISTER, shows: true, says: 'Activate a policy bundle.' },
} as const satisfies OperationList;

/**
 * What an operator does at the machine (`src/operator`), and what it is for. Recorded like an operation, but no principal
 * can ask for it, and no policy decides it.
 */
export const OPERATOR_ACTS = {
  'clock.accept': { says: 'Accept a clock that is behind the last record.' },
  'restore.accept': {
    says: 'Accept a restored copy of the database, which freezes everything and voids all credentials.',
  },
} as const;

/** The name of an operator's act. */
export type OperatorActName = keyof typeof OPERATOR_ACTS;

/** What the broker records by itself, and what it is. Nobody can ask for it, and no policy decides it. */
export const BROKER_EVENTS = {
  'denials.counted': { says: 'Repeated denials of callers without a grant, counted for one minute.' },
  'evaluations.counted': { says: 'Who evaluated which flag to which variant, counted for one interval.' },
  'snapshot.publish': { says: 'Publish the flags of an environment at one version, for relays and caches.' },
  'evaluations.deleted': { says: 'Old counts of evaluations were deleted from the database.' },
  'inputs.archived': { says: 'Old inputs of decisions were moved from the database to an archive file.' },
} as const;

/** The name of an event of the broker. */
export type BrokerEventName = keyof typeof BROKER_EVENTS;

/** The name of an operation. */
export type Operation = keyof typeof OPERATIONS;

type RecordedAs<When extends OperationRow['recorded']> = {
  [Name in Operation]: (typeof OPERATIONS)[Name]['recorded'] extends When ? Name : never;
}[Operation];

/** A read whose decision is recorded too if it shows something sensitive. */
export type SensitiveRead = RecordedAs<'sensitive'>;

/** A read whose decision is otherwise recorded only when it is a denial. */
export type PlainRead = RecordedAs<'denied' | 'sensitive'>;

/** All operation names, as a non-empty tuple for schemas. */
export const OPERATION_NAMES = Object.keys(OPERATIONS) as [Operation, ...Operation[]];

/** What records can be about: the operations, then the operator's acts and the broker's events. */
export const RECORDED_NAMES: readonly [Operation, ...(Operation | OperatorActName | BrokerEventName)[]] = [
  ...OPERATION_NAMES,
  ...(Object.keys(OPERATOR_ACTS) as OperatorActName[]),
  ...(Object.keys(BROKER_EVENTS) as BrokerEventName[]),
];

/** The members of an operation in policy data, besides the roles that grant it. */
export interface OperationData {
  at: string;
  audiences: readonly string[];
  by: readonly string[];
  under_freeze: string;
  /** The capability that it indicates; absent if none. */
  shows?: Capability;
}

/** The required content of `data.config.operations` in the shipped policy, apart from `roles`. */
export function policyDataOf(operations: OperationList): Record<string, OperationData> {
  return Object.fromEntries(
    Object.entries(operations).map(([name, { at, audiences, by, under_freeze, shows, capability }]) => [
      name,
      { at, audiences, by, under_freeze, ...(shows && capability !== null && { shows: capability }) },
    ]),
  );
}

/**
 * The name of an operation for a bundle: the newest one that the bundle has. A bundle that has none of its names (it may
 * list no operations at all) predates the newer names, and gets the oldest.
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

/**
 * The operations that a bundle has under none of their names, and so denies. Empty for a bundle that lists no operations
 * at all: its Rego alone tells what it knows.
 */
export function operationsUnknownTo(known: ReadonlySet<string>, operations: OperationList): string[] {
  if (known.size === 0) return [];
  return Object.keys(operations).filter((name) => !known.has(askedName(name, known, operations)));
}

/** The lane of a call that asks for these operations: an emergency if all of them are. */
export function laneOf(operations: Operation | readonly Operation[] | null): Lane {
  const asked = operations === null ? [] : [operations].flat();
  const isEmergency = asked.length > 0 && asked.every((name) => OPERATIONS[name].lane === 'emergency');
  return isEmergency ? 'emergency' : 'ordinary';
}

/** The operations that a kind of principal may use under the shipped policy, given a role. */
export function operationsBy(actor: Actor, operations: OperationList): string[] {
  return Object.entries(operations).flatMap(([name, { by }]) => (by.includes(actor) ? [name] : []));
}
