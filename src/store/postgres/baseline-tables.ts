/*
 * The tables of a new PostgreSQL database. They are those that the migrations of SQLite lead to; a test compares the two.
 */

/** Texts are compared by their bytes, as SQLite does: pages of lists, and what "between two ids" means, depend on it. */
const TEXT = 'text collate "C"';

/** The statements that create the tables and their indices. Every integer is a `bigint`, as it may be in SQLite. */
export const TABLES = `
  create table archived_inputs (
    place bigint primary key, archived_by bigint not null, file_offset bigint not null, file_length bigint not null,
    key bytea not null, words bytea not null
  );
  create table archives (
    place bigint primary key, what text not null, from_place bigint not null, to_place bigint not null,
    count bigint not null, file text unique, digest text
  );
  create table breakglass_sessions (
    id text primary key, person text not null, principal text not null, incident text not null,
    reason text not null, opened_ms bigint not null, expires_ms bigint not null, closed_ms bigint
  );
  create table built_bundles (
    archive_digest text primary key, root_hash text not null, root_digest text not null
  );
  create table bundle_sources (
    archive_digest text primary key, source text not null, stored_ms bigint not null
  );
  create table comments (
    id text primary key, request_id text not null, kind text not null, person text, principal text not null,
    principal_id text not null, said text, digest text not null, at_ms bigint not null, withdrawn_ms bigint,
    decision_id text not null
  );
  create table cosignatures (
    witness text not null, origin text not null, size bigint not null, root text not null, note text not null,
    line text not null, at_ms bigint not null, primary key (witness, origin, size)
  );
  create table denials (
    minute_ms bigint not null, caller text not null, operation text not null, decision_id text not null,
    count bigint not null, primary key (minute_ms, caller, operation)
  );
  create table environment_versions (
    environment text primary key, version bigint not null
  );
  create table erasures (
    place bigint unique, pseudonym text unique, erased_by bigint not null
  );
  create table evaluations (
    id bigint primary key, environment text not null, workload text, flag text, variant text,
    count bigint not null, first_ms bigint not null, last_ms bigint not null
  );
  create table flag_state_versions (
    flag text not null, environment text not null, version bigint not null, state text not null,
    request_id text not null, decision_id text not null, at_ms bigint not null,
    primary key (flag, environment, version)
  );
  create table flag_states (
    flag text not null, environment text not null, version bigint not null, state text not null,
    primary key (environment, flag)
  );
  create table flag_versions (
    flag text not null, version bigint not null, definition text not null, request_id text not null,
    decision_id text not null, at_ms bigint not null, primary key (flag, version)
  );
  create table flags (
    key text primary key, namespace text not null, version bigint not null, retired bigint not null,
    definition text not null
  );
  create table freezes (
    id text primary key, scope text not null, environment text, namespace text, flag text,
    incident text not null, reason text not null, engaged_by text not null, engaged_ms bigint not null,
    lifted_ms bigint, lifted_by_request text
  );
  create table grant_uses (
    principal_id text not null, capability text not null, environment text not null,
    namespace text not null, last_ms bigint not null,
    primary key (principal_id, capability, environment, namespace)
  );
  create table idempotency_keys (
    principal_id text not null, key text not null, fingerprint text not null, status bigint not null,
    body text not null, created_ms bigint not null, primary key (principal_id, key)
  );
  create table leaves (
    place bigint primary key, schema_version bigint not null, leaf text not null
  );
  create table log_head (
    id bigint primary key check (id = 1), installation text not null, epoch bigint not null,
    fence bigint not null, size bigint not null, root text, frontier text, last_ms bigint not null,
    cosigned_size bigint, cosigned_ms bigint
  );
  create table log_keys (
    epoch bigint not null, vkey text primary key, private_key text not null, created_ms bigint not null,
    place bigint, retires_ms bigint
  );
  create table log_tiles (
    level bigint not null, tile bigint not null, hashes bytea not null, root bytea not null,
    primary key (level, tile)
  );
  create table meta (
    key text primary key, value text not null
  );
  create table outbox (
    place bigint not null, effect text not null, primary key (place, effect)
  );
  create table outbox_cursors (
    consumer text primary key, place bigint not null
  );
  create table policy_bundles (
    policy_hash text not null, archive_digest text not null, revision text not null,
    archive bytea not null, stored_ms bigint not null, primary key (policy_hash, archive_digest)
  );
  create table policy_activations (
    number bigint primary key, policy_hash text not null, archive_digest text not null,
    activated_ms bigint not null, decision_id text, request_id text, stage text, module text,
    foreign key (policy_hash, archive_digest) references policy_bundles (policy_hash, archive_digest)
  );
  create table policy_reports (
    digest text primary key, report text not null, measured text not null, stored_ms bigint not null
  );
  create table principals (
    id text primary key, kind text not null, person text, issuer text not null, principal text not null,
    first_seen_ms bigint not null, last_seen_ms bigint not null
  );
  create table provisioned_users (
    id text primary key, user_name text, external_id text, linked_ms bigint
  );
  create table pseudonyms (
    kind text not null, name text not null, pseudonym text not null unique, primary key (kind, name)
  );
  create table record_details (
    place bigint primary key, id text not null unique, at_ms bigint not null, operation text not null,
    outcome text not null, principal_id text not null, person text, environment text, request_id text,
    policy_hash text not null, salt text not null, details text not null, input text not null,
    result text not null, stage text
  );
  create table record_flags (
    flag text not null, place bigint not null, primary key (flag, place)
  );
  create table request_flags (
    flag text not null, request_id text not null, primary key (flag, request_id)
  );
  create table request_namespaces (
    request_id text not null, namespace text not null, primary key (request_id, namespace)
  );
  create table requests (
    id text primary key, kind text not null, environment text, state text not null,
    revision bigint not null, digest text not null, content text not null, plan text not null,
    proposer text not null, proposer_id text not null, authors text not null, created_ms bigint not null,
    updated_ms bigint not null, expires_ms bigint not null, due_ms bigint, standing text not null,
    decision_id text not null, held_by text, gate text, owner text, demands text
  );
  create table revocations (
    id text primary key, kind text not null, value text not null, issued_before_ms bigint,
    cause text not null, incident text not null, reason text not null, created_by text not null,
    created_ms bigint not null, expires_ms bigint, lifted_ms bigint, lifted_by text, person text,
    returned_ms bigint, person_state text
  );
  create table sessions (
    id text primary key, secret_hash text not null unique, issuer text not null, issuer_key text not null,
    sub text not null, sid text, principal_id text not null, person text, principal text not null,
    user_agent text not null, opened_ms bigint not null, seen_ms bigint not null,
    expires_ms bigint not null, ended_ms bigint, end_reason text
  );
  create table sign_ins (
    id_hash text primary key, state_hash text not null, issuer_key text not null, return_to text not null,
    level bigint, max_age_s bigint, expires_ms bigint not null
  );
  create table signing_keys (
    kid text primary key, purpose text not null, private_jwk text not null, public_jwk text not null,
    created_ms bigint not null, retires_ms bigint
  );
  create table receipts (
    request_id text not null, environment text not null, version bigint not null, written text not null,
    applied_ms bigint not null, state text not null, served text, checked_ms bigint,
    first_relay_ms bigint, last_relay_ms bigint, primary key (request_id, environment)
  );
  create table relays (
    environment text not null, principal text not null, relay text not null, version bigint not null,
    digest text not null, served_ms bigint not null, reported_ms bigint not null, recent text not null,
    primary key (environment, principal, relay)
  );
  create table reported_reads (
    name text primary key, reporter text not null, environment text not null, workload text, flag text,
    variant text, count bigint not null, first_ms bigint not null, last_ms bigint not null
  );
  create table snapshots (
    environment text not null, epoch bigint not null, version bigint not null, digest text not null,
    previous text, size bigint not null, place bigint not null, body text not null,
    primary key (environment, epoch, version)
  );
  create table used_tokens (
    issuer text not null, jti text not null, expires_ms bigint not null, repeatable_for text,
    uses bigint not null default 1, primary key (issuer, jti)
  );
  create table votes (
    request_id text not null, person text not null, verdict text not null, digest text not null,
    principal text not null, comment text, at_ms bigint not null, voided_ms bigint, decision_id text,
    primary key (request_id, person)
  );
  create table wakes (
    id text primary key, cause text not null, after_id text not null
  );
  create index archives_what on archives (what, to_place);
  create index breakglass_sessions_person on breakglass_sessions (person, opened_ms);
  create index comments_request on comments (request_id, id);
  create index erasures_erased_by on erasures (erased_by);
  create index evaluations_flag on evaluations (flag, id);
  create index evaluations_workload on evaluations (workload, id);
  create index flags_namespace on flags (namespace, key);
  create index freezes_active on freezes (engaged_ms) where lifted_ms is null;
  create index idempotency_keys_age on idempotency_keys (created_ms);
  create index policy_activations_stage on policy_activations (stage, number);
  create index receipts_state on receipts (state, applied_ms);
  create index receipts_version on receipts (environment, version);
  create index record_details_at on record_details (at_ms);
  create index record_details_environment on record_details (environment, place);
  create index record_details_held on record_details (outcome, at_ms) where outcome <> 'allow';
  create index record_details_principal on record_details (principal_id, place);
  create index record_details_request on record_details (request_id, place);
  create index record_details_stage on record_details (stage, at_ms) where stage is not null;
  create index request_namespaces_namespace on request_namespaces (namespace);
  create index requests_applied on requests (state, updated_ms) where state = 'applied';
  create index requests_due on requests (due_ms) where due_ms is not null;
  create index requests_gate on requests (gate, id) where gate is not null;
  create index requests_held on requests (id) where held_by is not null;
  create index requests_owner on requests (owner, id) where owner is not null;
  create index requests_proposer on requests (proposer_id, id);
  create index requests_state on requests (state, id);
  create index revocations_active on revocations (created_ms) where lifted_ms is null;
  create index sessions_principal on sessions (principal_id, opened_ms);
  create index sessions_sid on sessions (issuer, sid);
  create index sign_ins_expiry on sign_ins (expires_ms);
  create index used_tokens_expiry on used_tokens (expires_ms);
`.replaceAll(/\btext\b/g, TEXT);
