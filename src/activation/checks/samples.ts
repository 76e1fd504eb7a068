import type { InputChange } from '../../flags/change-facts.ts';
import type { FlagDefinition } from '../../flags/model.ts';
import { type InputRequest, NO_EMERGENCY, type PolicyInput, type RequestObject } from '../../policy/input.ts';
import type { Question } from '../../policy/policies.ts';
import type { Principal } from '../../principal.ts';

/*
 * Samples that policies are asked about, to compare them: principals, requests and questions that nobody sent. What a policy
 * answers about one says what it answers about all that are like it.
 */

/** An environment, as policies are told of it. */
export type SampleEnvironment = NonNullable<PolicyInput['environment']>;

/** A place that a policy is asked about. */
export interface SamplePlace {
  environment: SampleEnvironment;
  namespace: string;
}

/** The highest level of a sign-in. */
const STRONGEST = 9;

/** A request was proposed this long before it is asked about, so that its people had time for it. */
const EARLIER_MS = 60_000;

/** A principal who has just signed in as strongly as possible, with a token that limits nothing. */
export function unlimited(principal: Principal, nowMs: number): Principal {
  const { token } = principal;
  return {
    ...principal,
    groups_seen_ms: nowMs,
    auth: { ...principal.auth, level: STRONGEST, auth_time_ms: nowMs },
    token: {
      ...token,
      audience: 'control',
      scope: [],
      ...(token.issued_ms === undefined ? {} : { issued_ms: nowMs }),
    },
  };
}

/** A person who has these groups and claims, and is nobody whom the broker knows. */
export function samplePerson(
  name: string,
  {
    issuer,
    groups = [],
    claims = {},
  }: Pick<Principal, 'issuer'> & Partial<Pick<Principal, 'groups' | 'claims'>>,
): Principal {
  return {
    id: `person:sample:${name}`,
    kind: 'person',
    person: `sample:${name}`,
    issuer,
    groups,
    claims,
    auth: { level: STRONGEST, acr: null, amr: [], auth_time_ms: null },
    token: { audience: 'control', scope: [], sender_constrained: true, trust_rule: null, issued_ms: 0 },
  };
}

/** The change of a flag that samples have: everybody gets it, or nobody any more. */
export function sampleChange(
  flag: Partial<Pick<FlagDefinition, 'key' | 'namespace' | 'tier' | 'kind' | 'owner'>>,
  movement: 'raise' | 'lower',
): InputChange {
  const isRaise = movement === 'raise';
  const state = { default_variant: 'on', audience: { kind: 'all' }, rules: [], rollout: null };
  return {
    flag: {
      key: 'sample',
      namespace: 'sample',
      tier: 'informational',
      kind: 'release',
      owner: 'sample',
      expires_ms: null,
      ...flag,
    },
    action: isRaise ? 'enable' : 'disable',
    before: { ...state, enabled: !isRaise },
    after: { ...state, enabled: isRaise },
    facts: {
      scope: 'state',
      direction: isRaise ? 'on' : 'off',
      audience_grew: isRaise,
      safe: !isRaise,
      swaps: [],
      organizations_named: [],
      reaches_everybody: isRaise,
      organizations_added: [],
      organizations_removed: [],
      users_added: [],
      users_removed: [],
      default_changed: false,
      returns_to: null,
      tier_lowered_from: null,
      entitlement: flag.kind === 'entitlement',
      exception_used: false,
    },
  };
}

/** A request of a sample, proposed a minute ago. */
export function sampleRequest(
  of: { kind: string; changes?: InputChange[]; object?: RequestObject | null },
  proposer: Principal,
  nowMs: number,
): InputRequest {
  const { kind, changes = [], object = null } = of;
  const [change] = changes;
  const { person, started_by = [] } = proposer;
  return {
    id: 'sample',
    kind,
    digest: 'sha256:0',
    proposer,
    authors: [...(person === null ? [] : [person]), ...started_by],
    created_ms: nowMs - EARLIER_MS,
    reason: 'a sample',
    ticket: null,
    changes,
    object,
    facts: {
      direction: change?.facts.direction ?? 'neutral',
      definition: false,
      organizations: [],
      namespaces: [...new Set(changes.map(({ flag }) => flag.namespace))].sort(),
    },
  };
}

/** A question of a sample, about nothing unless more is given. */
export function sampleQuestion(
  operation: Question['operation'],
  principal: Principal,
  more: Partial<Question> = {},
): Question {
  return {
    operation,
    principal,
    environment: null,
    namespace: null,
    request: null,
    approvals: [],
    rejections: [],
    emergency: NO_EMERGENCY,
    ...more,
  };
}

/** What a request of each kind is about, other than changes of flags: everything. */
export const SAMPLE_OBJECTS: Readonly<Record<string, (place: SamplePlace | null) => RequestObject>> = {
  'policy.activate': () => ({
    type: 'policy',
    id: 'sample',
    archive_digest: null,
    revision: null,
    replaces: null,
    patch: null,
    weakens_activation: false,
  }),
  'freeze.lift': (place) => ({
    type: 'freeze',
    id: 'sample',
    incident: 'sample',
    reason: 'sample',
    ...scopeOf(place),
  }),
  'person.erase': () => ({ type: 'person', id: 'sample', records: 0, newest_ms: 0, revocations: [] }),
  'revocation.lift': () => ({
    type: 'revocation',
    id: 'sample',
    kind: 'class',
    value: 'workload',
    issued_before_ms: null,
    incident: 'sample',
    reason: 'sample',
  }),
};

/** The scope of a freeze of one place, or of everything. */
export function scopeOf(place: SamplePlace | null) {
  return place === null
    ? ({ scope: 'all', environment: null, namespace: null, flag: null } as const)
    : ({
        scope: 'namespace',
        environment: place.environment.key,
        namespace: place.namespace,
        flag: null,
      } as const);
}
