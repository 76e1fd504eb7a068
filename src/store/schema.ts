import type { Generated } from 'kysely';

/**
 * The tables, one interface each. Column names are the words of the design; `*_ms` is epoch milliseconds; columns
 * that hold JSON text say so. Only `src/store` reads these types.
 */
export interface Schema {
  meta: MetaTable;
  policy_bundles: PolicyBundlesTable;
  signing_keys: SigningKeysTable;
  used_tokens: UsedTokensTable;
  flags: FlagsTable;
  flag_versions: FlagVersionsTable;
  flag_states: FlagStatesTable;
  flag_state_versions: FlagStateVersionsTable;
  environment_versions: EnvironmentVersionsTable;
  requests: RequestsTable;
  request_flags: RequestFlagsTable;
  votes: VotesTable;
  freezes: FreezesTable;
  breakglass_sessions: BreakglassSessionsTable;
  records: RecordsTable;
  record_flags: RecordFlagsTable;
  decisions: DecisionsTable;
  idempotency_keys: IdempotencyKeysTable;
}

/** Single facts about this installation: the active policy hash, the cursor secret. */
export interface MetaTable {
  key: string;
  value: string;
}

/** Every bundle that was ever active, by policy hash. Never updated, never removed. */
export interface PolicyBundlesTable {
  hash: string;
  revision: string;
  /** The bundle as it was read, gzip and all. */
  archive: Buffer;
  stored_ms: number;
}

/** Keys that sign Countersign's own tokens. */
export interface SigningKeysTable {
  kid: string;
  purpose: string;
  private_jwk: string;
  public_jwk: string;
  created_ms: number;
  retires_ms: number | null;
}

/** Platform tokens that have been exchanged, so that each is used once. */
export interface UsedTokensTable {
  issuer: string;
  jti: string;
  expires_ms: number;
}

/** Present definition of each flag; `definition` is JSON. */
export interface FlagsTable {
  key: string;
  namespace: string;
  version: number;
  retired: number;
  definition: string;
}

/** Every definition a flag ever had. Append-only. */
export interface FlagVersionsTable {
  flag: string;
  version: number;
  definition: string;
  request_id: string;
  decision_id: string;
  at_ms: number;
}

/** Present state of each flag in each environment; `state` is JSON. */
export interface FlagStatesTable {
  flag: string;
  environment: string;
  version: number;
  state: string;
}

/** Every state a flag ever had in an environment. Append-only. */
export interface FlagStateVersionsTable {
  flag: string;
  environment: string;
  version: number;
  state: string;
  request_id: string;
  decision_id: string;
  at_ms: number;
}

/** Rises with every change that an application in the environment could see. */
export interface EnvironmentVersionsTable {
  environment: string;
  version: number;
}

/** Change requests. `content`, `planned`, `proposer`, `authors` and `standing` are JSON. */
export interface RequestsTable {
  id: string;
  kind: string;
  environment: string | null;
  state: string;
  /** Rises with every change of the row: the ETag. */
  revision: number;
  digest: string;
  content: string;
  planned: string;
  proposer: string;
  proposer_id: string;
  authors: string;
  created_ms: number;
  updated_ms: number;
  expires_ms: number;
  /** When the scheduler looks at it next; null for requests that wait for people or are closed. */
  due_ms: number | null;
  /** The last decision about applying it. */
  standing: string;
  decision_id: string;
}

/** Which flags a request touches, for lists. */
export interface RequestFlagsTable {
  flag: string;
  request_id: string;
}

/** The newest word of each person on each request; `principal` is JSON. */
export interface VotesTable {
  request_id: string;
  person: string;
  verdict: string;
  digest: string;
  principal: string;
  comment: string | null;
  at_ms: number;
}

/** Freezes. Engaged once, lifted once. `engaged_by` is JSON. */
export interface FreezesTable {
  id: string;
  scope: string;
  environment: string | null;
  namespace: string | null;
  flag: string | null;
  incident: string;
  reason: string;
  engaged_by: string;
  engaged_ms: number;
  lifted_ms: number | null;
  lifted_by_request: string | null;
}

/** Break-glass sessions; `principal` is JSON. */
export interface BreakglassSessionsTable {
  id: string;
  person: string;
  principal: string;
  incident: string;
  reason: string;
  opened_ms: number;
  expires_ms: number;
  closed_ms: number | null;
}

/** The decision log: one row a record, append-only. `record` is the canonical JSON that outsiders see. */
export interface RecordsTable {
  seq: Generated<number>;
  id: string;
  at_ms: number;
  operation: string;
  outcome: string;
  principal_id: string;
  person: string | null;
  environment: string | null;
  request_id: string | null;
  policy_hash: string;
  record: string;
}

/** Which flags a record is about, for queries. Append-only. */
export interface RecordFlagsTable {
  flag: string;
  seq: number;
}

/** Input and result of each decision in full, for replay. Append-only; both are JSON text. */
export interface DecisionsTable {
  id: string;
  input: string;
  result: string;
}

/** Answers kept for retried POSTs. */
export interface IdempotencyKeysTable {
  principal_id: string;
  key: string;
  fingerprint: string;
  status: number;
  body: string;
  created_ms: number;
}
