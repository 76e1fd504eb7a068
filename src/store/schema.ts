import type {
  ErasuresTable,
  LeavesTable,
  LogHeadTable,
  OutboxCursorsTable,
  OutboxTable,
  PseudonymsTable,
  RecordDetailsTable,
  RecordFlagsTable,
} from './schema-log.ts';

/**
 * The tables, one interface each. Column names are the words of the design; `*_ms` is epoch milliseconds; columns
 * that hold JSON text say so. Only `src/store` reads these types.
 */
export interface Schema {
  meta: MetaTable;
  policy_bundles: PolicyBundlesTable;
  policy_activations: PolicyActivationsTable;
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
  leaves: LeavesTable;
  record_details: RecordDetailsTable;
  record_flags: RecordFlagsTable;
  pseudonyms: PseudonymsTable;
  erasures: ErasuresTable;
  log_head: LogHeadTable;
  outbox: OutboxTable;
  outbox_cursors: OutboxCursorsTable;
  idempotency_keys: IdempotencyKeysTable;
  sign_ins: SignInsTable;
  sessions: SessionsTable;
  revocations: RevocationsTable;
  principals: PrincipalsTable;
  grant_uses: GrantUsesTable;
}

/** Single facts about this installation, such as the cursor secret (sealed: compact JWE). */
export interface MetaTable {
  key: string;
  value: string;
}

/** Every bundle that ever came, active or not, by policy hash and archive digest. Never updated, never removed. */
export interface PolicyBundlesTable {
  policy_hash: string;
  /** `sha256:` and hex over the archive: signatures and decision cases are in it, which are no part of the policy hash. */
  archive_digest: string;
  revision: string;
  /** The bundle as it was read, gzip and all. */
  archive: Buffer;
  stored_ms: number;
}

/** Which bundle was active from when on, numbered from 1 without a gap. The last one counts. Append-only. */
export interface PolicyActivationsTable {
  number: number;
  policy_hash: string;
  archive_digest: string;
  activated_ms: number;
  /** The record of the activation; null for some from before activations were listed. */
  decision_id: string | null;
  /** Null for the first start. */
  request_id: string | null;
  /** The one stage that it is for; null: all of them. */
  stage: string | null;
}

/**
 * Keys that sign Countersign's own tokens. `private_jwk` is sealed under the master key (compact JWE), and empty from the
 * moment on that the key signs no more.
 */
export interface SigningKeysTable {
  kid: string;
  purpose: string;
  private_jwk: string;
  public_jwk: string;
  created_ms: number;
  retires_ms: number | null;
}

/** What works once: platform tokens that were exchanged, DPoP proofs, logout tokens. */
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

/** Change requests. `content`, `plan`, `proposer`, `authors` and `standing` are JSON. */
export interface RequestsTable {
  id: string;
  kind: string;
  environment: string | null;
  state: string;
  /** Rises with every change of the row: the ETag. */
  revision: number;
  digest: string;
  content: string;
  plan: string;
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

/** The newest vote of each person on each request; `principal` is JSON. */
export interface VotesTable {
  request_id: string;
  person: string;
  verdict: string;
  digest: string;
  principal: string;
  comment: string | null;
  at_ms: number;
  /** When the vote stopped counting because its person was disabled or revoked; null while it counts. */
  voided_ms: number | null;
  /** The record in which the vote was allowed; null for some votes that an older version of the broker stored. */
  decision_id: string | null;
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

/** Answers kept for retried POSTs. */
export interface IdempotencyKeysTable {
  principal_id: string;
  key: string;
  fingerprint: string;
  status: number;
  body: string;
  created_ms: number;
}

/** Browser sign-ins on their way. What a stolen row could be used with is derived from the cookie, and not here. */
export interface SignInsTable {
  /** SHA-256 of the cookie's secret, base64url. */
  id_hash: string;
  /** SHA-256 of `state`, base64url. */
  state_hash: string;
  issuer_key: string;
  /** Where the browser goes afterwards: a path of this origin. */
  return_to: string;
  /** The level that was asked for, and how old the sign-in may be, in seconds; null where nothing was. */
  level: number | null;
  max_age_s: number | null;
  expires_ms: number;
}

/** Browser sessions; `principal` is JSON. */
export interface SessionsTable {
  id: string;
  /** SHA-256 of the cookie's secret, base64url. */
  secret_hash: string;
  issuer: string;
  issuer_key: string;
  sub: string;
  /** The provider's own session, where it names one. */
  sid: string | null;
  principal_id: string;
  person: string | null;
  principal: string;
  user_agent: string;
  opened_ms: number;
  seen_ms: number;
  /** The absolute end, whatever happens. */
  expires_ms: number;
  ended_ms: number | null;
  /** `signed_out`, `ended`, `rotated`, `logout` (by the provider), `revoked`; null while it goes on. */
  end_reason: string | null;
}

/** What is revoked. A row changes when it is lifted and when its subject returns only; `*_by` are JSON. */
export interface RevocationsTable {
  id: string;
  kind: string;
  value: string;
  /** Revokes what was issued before; null revokes everything, until it is lifted. */
  issued_before_ms: number | null;
  /** `incident` by a person; `logout` and `provisioning` by an identity provider; `holder` by who held the token. */
  cause: string;
  incident: string;
  reason: string;
  created_by: string;
  created_ms: number;
  /** From then on nothing that it revokes could be valid anyway; null: it holds until it is lifted. */
  expires_ms: number | null;
  lifted_ms: number | null;
  lifted_by: string | null;
  /** The human behind a revoked account, under their one name; null where none is known, and for all other kinds. */
  person: string | null;
  /** When who was logged out came back with a newer credential: their requests wait no longer. */
  returned_ms: number | null;
  /** `disabled` or `deleted`, where the identity provider said so of its subject; null for all others. */
  person_state: string | null;
}

/** Who has ever used this installation, as last seen; `principal` is JSON. */
export interface PrincipalsTable {
  id: string;
  kind: string;
  person: string | null;
  issuer: string;
  principal: string;
  first_seen_ms: number;
  last_seen_ms: number;
}

/** When a principal last used a capability in a place. `*` stands for an operation that names no environment or namespace. */
export interface GrantUsesTable {
  principal_id: string;
  capability: string;
  environment: string;
  namespace: string;
  last_ms: number;
}
