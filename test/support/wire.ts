/*
 * The JSON that the log keeps, as an outsider knows it from the documentation: no type of the broker. Only what the
 * tests look at is named.
 */

/** Who did something. */
export interface WirePrincipal {
  id: string;
  kind: string;
  person: string | null;
  issuer: string;
  /** For an agent, who acts: newest first. */
  act?: readonly string[];
  token: { trust_rule: string | null; issued_ms?: number };
}

/** The shares of a rollout, in percent. */
export type WireShares = readonly { variant: string; percent: number }[];

/** One rule of a state. */
export interface WireRule {
  when: readonly { attribute: string; operator: string; values: readonly unknown[] }[];
  serve: { variant?: string; rollout?: WireShares };
}

/** A flag's state in one environment. */
export interface WireState {
  enabled: boolean;
  default_variant: string;
  audience: {
    kind: string;
    organizations?: readonly string[];
    users?: readonly { id: string; exception: { until_ms: number } }[];
  };
  rules: readonly WireRule[];
  rollout: WireShares | null;
}

/** One change of a request, with its facts. `before` and `after` are states where the scope is `state`. */
export interface WireChange {
  action: string;
  flag: { key: string; namespace: string };
  before: unknown;
  after: unknown;
  facts: { scope: string; direction: string; audience_grew: boolean };
}

/** What a freeze covers, and for which incident. */
export interface WireFreeze {
  scope: string;
  environment: string | null;
  namespace: string | null;
  flag: string | null;
  incident: string;
}

/** What a revocation revokes. */
export interface WireRevocation {
  kind: string;
  value: string;
  issued_before_ms: number | null;
  incident: string;
}

/** The input of a decision. */
export interface WireInput {
  operation: string;
  principal: WirePrincipal;
  environment: { key: string; kind: string } | null;
  schema_version: number;
  request: {
    proposer: WirePrincipal;
    authors: readonly string[];
    changes: readonly WireChange[];
    /** Version 2 of the document: what the request is about. */
    object?: ({ type: 'freeze' } & WireFreeze) | ({ type: 'revocation' } & WireRevocation) | null;
    /** Version 1: the same, a member each. */
    freeze?: WireFreeze | null;
    revocation?: WireRevocation;
    parked?: boolean;
  } | null;
  approvals: readonly { principal: WirePrincipal }[];
  revocation?: WireRevocation;
  emergency: { engage: WireFreeze | null; breakglass: { expires_ms: number } | null };
  clock: { now_ms: number };
}

/** The result of a decision. */
export interface WireResult {
  effect: string;
  reasons: readonly { code: string; detail: string }[];
  obligations: readonly unknown[];
  limits: Readonly<Record<string, number>>;
}

/** How one flag's version moved with a record; `environment` is null for the definition. */
export interface WireMove {
  flag: string;
  environment: string | null;
  version_before: number;
  version_after: number;
}

/** A record of the log. */
export interface WireRecord {
  id: string;
  at_ms: number;
  operation: string;
  outcome: { note: { code: string } | null };
  policy_hash: string;
  input_digest: string;
  request: { id: string; digest: string; from: string | null; to: string } | null;
  flags: readonly WireMove[];
  correlation: { token: string | null; session?: string | null; origins?: readonly string[] };
}
