import type { BrokerEventName, Operation, OperatorActName } from '../operations.ts';
import type { Principal } from '../principal.ts';
import type { Reason } from '../reason.ts';
import type { KeyHandover } from '../tree/key-chain.ts';

/** How one flag's version moved with a record. `environment` is null for the definition. */
export interface FlagMove {
  flag: string;
  environment: string | null;
  /** Of a moved definition: the flag's namespace, which never changes. Freezes of a namespace cover its flags. */
  namespace?: string | undefined;
  /** Of a moved definition: present if the flag is retired from now on. */
  retired?: true | undefined;
  version_before: number;
  version_after: number;
  /** Digest of the new definition or state; null if nothing moved. */
  digest: string | null;
}

/** A decision, with everything that is needed to replay it. */
export interface RecordedDecision {
  effect: string;
  reasons: readonly Reason[];
  obligations: readonly RecordedObligation[];
  limits: Readonly<Record<string, number>>;
  /** The code of the guardrail that overruled the policy, if one did. */
  guardrail?: string;
  /** The versions of the schemas and guardrails used; null if the decision was made without them. */
  versions: { input: number | null; result: number; guardrails: number | null };
  policy_hash: string;
  /** The stage whose policy decided; absent if one policy decides everything. */
  stage?: string;
  /** The exact text that was evaluated. */
  input_json: string;
  input_digest: string;
}

/** The outstanding obligations. */
export interface RecordedObligation {
  kind: string;
  role?: string | undefined;
  count?: number | undefined;
}

/** The request that an entry is about. */
export interface RecordedRequest {
  id: string;
  kind: string;
  /** The object of the request, for kinds other than `flag.change`. */
  object: { type: string; id: string } | null;
  digest: string;
  from: string | null;
  to: string;
  /** The proposer's reason. */
  reason: string;
  /** The persons who wrote part of it. */
  authors: readonly string[];
}

/** A freeze that a record engages or lifts. */
export interface RecordedFreeze {
  change: 'engaged' | 'lifted';
  id: string;
  scope: string;
  environment: string | null;
  namespace: string | null;
  flag: string | null;
}

/** The highest known state of a log that a confirmed restore has ended. */
export interface FormerLog {
  epoch: number;
  /** The name of its checkpoint; null if none is known. */
  origin: string | null;
  /** The number of its records, at least. */
  size: number;
  /** The root hash of that checkpoint, base64. */
  root: string | null;
}

/** What a record takes out of the database because it grew old. */
export interface Retention {
  what: 'inputs' | 'evaluations';
  /** The places of the first and the last record whose rows these are. */
  from_place: number;
  to_place: number;
  /** How many inputs, or rows. */
  count: number;
  /** The SHA-256 digest of the file where they are; null if they are gone. */
  digest: string | null;
}

/** The controls that the change bypassed. */
export interface Passage {
  /** Ids of the freezes that covered them. */
  freezes: readonly string[];
  /** Whether the change serves a user by exception. */
  exception: boolean;
}

/** A bundle that becomes active: its policy hash, and the digest of its archive. */
interface ActivatedBundle {
  hash: string;
  archive: string;
}

/** A stage, and the environments that its policy decides. */
export interface RecordedStage {
  name: string;
  environments: readonly string[];
}

/** A policy that a record makes active. */
export interface ActivatedPolicy extends ActivatedBundle {
  /** Its stage, if that is an earlier one. */
  stage?: string;
  /** Of the last stage: the map of stages from now on; empty if one policy decides everything. */
  stages?: readonly RecordedStage[];
  /** What becomes active in earlier stages with it. */
  followers?: readonly (ActivatedBundle & { stage: string })[];
}

/** A snapshot that a record publishes. */
export interface RecordedSnapshot {
  environment: string;
  /** The version of the environment. */
  version: number;
  /** The digest of the body. */
  digest: string;
  /** The number of records that the snapshot reflects: all of them, from the first one. */
  size: number;
}

/** One event to record. */
export interface Entry {
  /** The decision's id (UUID version 7), which is also the record's id. */
  id: string;
  /** The time of the write. */
  at_ms: number;
  operation: Operation | OperatorActName | BrokerEventName;
  principal: Principal;
  environment: string | null;
  /** Whether the policy knows that environment. Any other name may be free text, so it is not in the leaf. */
  knows_environment: boolean;
  /** The policy's answer; for the first activation of a policy, the broker's. */
  decision: RecordedDecision;
  request: RecordedRequest | null;
  /** Ids of the decisions that allowed the counted votes. */
  votes?: readonly string[];
  /** The flags of the operation, with their versions if they moved. */
  flags: readonly FlagMove[];
  freeze?: RecordedFreeze | null;
  passed?: Passage;
  /** The newly activated policy. */
  activates?: ActivatedPolicy;
  /** The log that a confirmed restore has ended. */
  follows?: FormerLog;
  /** The key that the log is handed over to. */
  log_key?: KeyHandover;
  /** The snapshot of an environment that this record publishes. */
  snapshot?: RecordedSnapshot;
  /** The details and pseudonyms that this record erases. */
  erases?: { places: readonly number[]; pseudonyms: readonly string[] };
  /** What it takes out of the database. */
  retention?: Retention;
  /** The broker's own note on the outcome, such as `request_conflicted`. */
  note?: Reason;
  correlation: Correlation;
}

/** Ids that link a record to events elsewhere. */
export interface Correlation {
  http_request_id: string | null;
  /** The trace that the request belongs to. Its caller may have chosen it freely, so it is not in the leaf. */
  trace_id?: string | undefined;
  ticket: string | null;
  /** The CI run of a workload's token, if its claims name one. */
  ci_run: string | null;
  /** The id of the token or session used, which is not a secret; null for the broker's own principals. */
  token: string | null;
  /**
   * The ids of the credentials that the token was issued for: for a workload, its platform's token; for an agent, the
   * delegation, the person's credential and the agent's own.
   */
  origins?: readonly string[] | undefined;
  /** Its session at the provider, as `<issuer>#<sid>`, if the provider named one. */
  session?: string | undefined;
}
