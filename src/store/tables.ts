import type { Schema } from './schema.ts';

/** Each table, by the columns that tell its rows apart and order them. */
type TableKeys = { readonly [Table in keyof Schema]: readonly (keyof Schema[Table] & string)[] };

/**
 * Every table that both engines have, with the columns by which its rows are told apart. A row refers only to rows of tables
 * that come before its own.
 */
export const TABLE_KEYS: TableKeys = {
  meta: ['key'],
  log_keys: ['vkey'],
  signing_keys: ['kid'],
  principals: ['id'],
  provisioned_users: ['id'],
  pseudonyms: ['kind', 'name'],
  policy_bundles: ['policy_hash', 'archive_digest'],
  bundle_sources: ['archive_digest'],
  built_bundles: ['archive_digest'],
  policy_activations: ['number'],
  policy_reports: ['digest'],
  flags: ['key'],
  flag_versions: ['flag', 'version'],
  flag_states: ['environment', 'flag'],
  flag_state_versions: ['flag', 'environment', 'version'],
  environment_versions: ['environment'],
  requests: ['id'],
  request_flags: ['flag', 'request_id'],
  request_namespaces: ['request_id', 'namespace'],
  votes: ['request_id', 'person'],
  comments: ['id'],
  wakes: ['id'],
  freezes: ['id'],
  breakglass_sessions: ['id'],
  revocations: ['id'],
  used_tokens: ['issuer', 'jti'],
  idempotency_keys: ['principal_id', 'key'],
  sign_ins: ['id_hash'],
  sessions: ['id'],
  grant_uses: ['principal_id', 'capability', 'environment', 'namespace'],
  denials: ['minute_ms', 'caller', 'operation'],
  leaves: ['place'],
  log_tiles: ['level', 'tile'],
  record_details: ['place'],
  record_flags: ['flag', 'place'],
  evaluations: ['id'],
  snapshots: ['environment', 'epoch', 'version'],
  relays: ['environment', 'principal', 'relay'],
  reported_reads: ['name'],
  receipts: ['request_id', 'environment'],
  archives: ['place'],
  archived_inputs: ['place'],
  erasures: ['erased_by', 'place', 'pseudonym'],
  cosignatures: ['witness', 'origin', 'size'],
  outbox: ['place', 'effect'],
  outbox_cursors: ['consumer'],
  log_head: ['id'],
};

/** The names of {@link TABLE_KEYS}, in its order. */
export const TABLE_NAMES = Object.keys(TABLE_KEYS) as (keyof Schema)[];
