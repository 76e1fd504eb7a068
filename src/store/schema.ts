import type { Generated } from 'kysely';
import type {
  ArchivedInputsTable,
  ArchivesTable,
  CosignaturesTable,
  DenialsTable,
  ErasuresTable,
  EvaluationsTable,
  LeavesTable,
  LogHeadTable,
  LogKeysTable,
  LogTilesTable,
  OutboxCursorsTable,
  OutboxTable,
  PseudonymsTable,
  RecordDetailsTable,
  RecordFlagsTable,
  SnapshotsTable,
} from './schema-log.ts';
import type { ReceiptsTable, RelaysTable, ReportedReadsTable } from './schema-relays.ts';

/**
 * The tables, one interface each. Column names are the words of the design; `*_ms` is epoch milliseconds; columns
 * that hold JSON text say so. Only `src/store` reads these types.
 */
export interface Schema {
  meta: MetaTable;
  policy_bundles: PolicyBundlesTable;
  bundle_sources: BundleSourcesTable;
  built_bundles: BuiltBundlesTable;
  policy_activations: PolicyActivationsTable;
  policy_reports: PolicyReportsTable;
  signing_keys: SigningKeysTable;
  used_tokens: UsedTokensTable;
  flags: FlagsTable;
  flag_versions: FlagVersionsTable;
  flag_states: FlagStatesTable;
  flag_state_versions: FlagStateVersionsTable;
  environment_versions: EnvironmentVersionsTable;
  requests: RequestsTable;
  request_flags: RequestFlagsTable;
  request_namespaces: RequestNamespacesTable;
  wakes: WakesTable;
  votes: VotesTable;
  comments: CommentsTable;
  freezes: FreezesTable;
  breakglass_sessions: BreakglassSessionsTable;
  leaves: LeavesTable;
  record_details: RecordDetailsTable;
  record_flags: RecordFlagsTable;
  pseudonyms: PseudonymsTable;
  erasures: ErasuresTable;
  evaluations: EvaluationsTable;
  snapshots: SnapshotsTable;
  relays: RelaysTable;
  reported_reads: ReportedReadsTable;
  receipts: ReceiptsTable;
  archives: ArchivesTable;
  archived_inputs: ArchivedInputsTable;
  log_head: LogHeadTable;
  log_keys: LogKeysTable;
  cosignatures: CosignaturesTable;
  log_tiles: LogTilesTable;
  denials: DenialsTable;
  outbox: OutboxTable;
  outbox_cursors: OutboxCursorsTable;
  idempotency_keys: IdempotencyKeysTable;
  sign_ins: SignInsTable;
  sessions: SessionsTable;
  revocations: RevocationsTable;
  provisioned_users: ProvisionedUsersTable;
  principals: PrincipalsTable;
  grant_uses: GrantUsesTable;
}

/** Single facts about this installation, such as the cursor secret (sealed: compact JWE). */
export interface MetaTable {
  key: string;
  value: string;
}

/** All stored bundles, active or not, by policy hash and archive digest. Never updated, never deleted. */
export interface PolicyBundlesTable {
  policy_hash: string;
  /** `sha256:` and hex over the archive, which includes signatures and decision cases; the policy hash does not. */
  archive_digest: string;
  revision: string;
  /** The bundle as it was read, compressed. */
  archive: Buffer;
  stored_ms: number;
}

/** Where the code of a bundle came from, by the CI job that uploaded exactly these bytes first. Append-only. */
export interface BundleSourcesTable {
  archive_digest: string;
  /** A `Source` as JSON. */
  source: string;
  stored_ms: number;
}

/** The bundles that the broker built, each from the module of a bundle that was uploaded. Append-only. */
export interface BuiltBundlesTable {
  archive_digest: string;
  /** The policy hash of the uploaded bundle. */
  root_hash: string;
  /** Its archive digest. */
  root_digest: string;
}

/** When each bundle became active, numbered from 1 without gaps. The last one is active. Append-only. */
export interface PolicyActivationsTable {
  number: number;
  policy_hash: string;
  archive_digest: string;
  activated_ms: number;
  /** The record of the activation; null for some older activations. */
  decision_id: string | null;
  /** Null for the first start. */
  request_id: string | null;
  /** The earlier stage that it applies to; null: the last one, which is the only one by default. */
  stage: string | null;
  /** `sha256:` and hex over the bundle's module; null for older activations. */
  module: string | null;
}

/** What would change with candidate policies, as requests to activate them were approved. Append-only. */
export interface PolicyReportsTable {
  /** Of the report, in canonical JSON. */
  digest: string;
  report: string;
  /** Of the run that found it; JSON. The digest does not cover it. */
  measured: string;
  stored_ms: number;
}

/**
 * Keys that sign Countersign's own tokens. `private_jwk` is sealed under the master key (compact JWE), and empty once the
 * key no longer signs.
 */
export interface SigningKeysTable {
  kid: string;
  purpose: string;
  private_jwk: string;
  public_jwk: string;
  created_ms: number;
  retires_ms: number | null;
}

/** Single-use tokens that were used: exchanged platform tokens, DPoP proofs, logout tokens. */
export interface UsedTokensTable {
  issuer: string;
  jti: string;
  expires_ms: number;
  /** What it may be used for again; null for a token that works once. */
  repeatable_for: Generated<string | null>;
  /** How often it was used. */
  uses: Generated<number>;
}

/** The current definition of each flag; `definition` is JSON. */
export interface FlagsTable {
  key: string;
  namespace: string;
  version: number;
  retired: number;
  definition: string;
}

/** All versions of each flag's definition. Append-only. */
export interface FlagVersionsTable {
  flag: string;
  version: number;
  definition: string;
  request_id: string;
  decision_id: string;
  at_ms: number;
}

/** The current state of each flag in each environment; `state` is JSON. */
export interface FlagStatesTable {
  flag: string;
  environment: string;
  version: number;
  state: string;
}

/** All versions of each flag's state in an environment. Append-only. */
export interface FlagStateVersionsTable {
  flag: string;
  environment: string;
  version: number;
  state: string;
  request_id: string;
  decision_id: string;
  at_ms: number;
}

/** Incremented with every change that is visible to applications in the environment. */
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
  /** Incremented with every change of the row. */
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
  /** When the scheduler checks it next; null for requests that wait for people or are closed. */
  due_ms: number | null;
  /** JSON: the causes that held it back at its last decision, as `wakes` names them; null if there are none. */
  held_by: string | null;
  /** What pending requests that want the same approvals share (`requests/gate.ts`); null for all others. */
  gate: string | null;
  /** The human behind the proposer while the request is open; null if unknown, or closed. */
  owner: string | null;
  /** JSON: the demands for changes, as `requests/demands.ts` reads them; null if there are none. */
  demands: string | null;
  /** The last decision about applying it. */
  standing: string;
  decision_id: string;
}

/** Causes that are over: the requests that they held back are still to be decided again. */
export interface WakesTable {
  /** UUID version 7. */
  id: string;
  cause: string;
  /** The last request that was decided again; empty at first. */
  after_id: string;
}

/** The flags that a request touches, for lists. */
export interface RequestFlagsTable {
  flag: string;
  request_id: string;
}

/** The namespaces whose readers may see a request; `*`: readers of all. None: readers of any. */
export interface RequestNamespacesTable {
  request_id: string;
  namespace: string;
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
  /** When the vote became void because its person was disabled or revoked; otherwise null. */
  voided_ms: number | null;
  /** The record in which the vote was allowed; null for some older votes. */
  decision_id: string | null;
}

/** What was said about requests, oldest id first; `principal` is JSON. No evidence: the records of the comments are. */
export interface CommentsTable {
  /** The id of the decision, UUID version 7. */
  id: string;
  request_id: string;
  /** `comment` or `changes_requested`. */
  kind: string;
  person: string | null;
  principal: string;
  principal_id: string;
  /** Null once it was withdrawn, or its author was erased. */
  said: string | null;
  /** The digest of the content that it is about. */
  digest: string;
  at_ms: number;
  withdrawn_ms: number | null;
  decision_id: string;
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

/** Stored answers for retried POSTs. */
export interface IdempotencyKeysTable {
  principal_id: string;
  key: string;
  fingerprint: string;
  status: number;
  body: string;
  created_ms: number;
}

/** Browser sign-ins in progress. The secrets needed to use a row are derived from the cookie and not stored. */
export interface SignInsTable {
  /** SHA-256 of the cookie's secret, base64url. */
  id_hash: string;
  /** SHA-256 of `state`, base64url. */
  state_hash: string;
  issuer_key: string;
  /** The path of this origin to which the browser returns. */
  return_to: string;
  /** The requested level, and the maximum age of the sign-in in seconds; null if not requested. */
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
  /** The provider's own session, if it names one. */
  sid: string | null;
  principal_id: string;
  person: string | null;
  principal: string;
  user_agent: string;
  opened_ms: number;
  seen_ms: number;
  /** The absolute expiry. */
  expires_ms: number;
  ended_ms: number | null;
  /** `signed_out`, `ended`, `rotated`, `logout` (by the provider), `revoked`; null while the session is active. */
  end_reason: string | null;
}

/** Revocations. A row changes only when it is lifted and when its subject returns; `*_by` are JSON. */
export interface RevocationsTable {
  id: string;
  kind: string;
  value: string;
  /** Revokes what was issued before this time; null revokes everything, until it is lifted. */
  issued_before_ms: number | null;
  /** `incident`: a person; `logout` and `provisioning`: an identity provider; `holder`: the holder of the token. */
  cause: string;
  incident: string;
  reason: string;
  created_by: string;
  created_ms: number;
  /** When everything that it revokes has expired; null: it is in force until it is lifted. */
  expires_ms: number | null;
  lifted_ms: number | null;
  lifted_by: string | null;
  /** The canonical name of the human behind a revoked account; null if unknown, and for all other kinds. */
  person: string | null;
  /** When the logged-out person returned with a newer credential, which unparks their requests. */
  returned_ms: number | null;
  /** `disabled` or `deleted`, if the identity provider set that state; null for all others. */
  person_state: string | null;
}

/** The users of the identity provider (SCIM). Whether they are disabled is in `revocations`. */
export interface ProvisionedUsersTable {
  /** The canonical name of the person, under the policy that was active when the user was created. Never changes. */
  id: string;
  /** The names that the provider gave last. They identify nobody. */
  user_name: string | null;
  external_id: string | null;
  /** When the provider created the user; null for an id that a former version answered without storing it. */
  linked_ms: number | null;
}

/** All principals ever seen, as last seen; `principal` is JSON. */
export interface PrincipalsTable {
  id: string;
  kind: string;
  person: string | null;
  issuer: string;
  principal: string;
  first_seen_ms: number;
  last_seen_ms: number;
}

/** When a principal last used a capability in a place. `*`: the operation names no environment or namespace. */
export interface GrantUsesTable {
  principal_id: string;
  capability: string;
  environment: string;
  namespace: string;
  last_ms: number;
}
