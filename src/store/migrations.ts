import { type Kysely, sql } from 'kysely';
import type { Migration, MigrationProvider } from 'kysely/migration';
import { refuseChanges } from './append-only.ts';
import { addArchives } from './migration-archives.ts';
import { addBuiltBundles } from './migration-built.ts';
import { addComments } from './migration-comments.ts';
import { addCosignatures } from './migration-cosignatures.ts';
import { addCosignedHead } from './migration-cosigned.ts';
import { addDenials } from './migration-denials.ts';
import { addEvaluations } from './migration-evaluations.ts';
import { addExchanges } from './migration-exchanges.ts';
import { addIdentity } from './migration-identity.ts';
import { addInbox } from './migration-inbox.ts';
import { addLogKeyRotation } from './migration-log-key-rotation.ts';
import { addLogKeys } from './migration-log-keys.ts';
import { addRequestNamespaces } from './migration-places.ts';
import { addActivations } from './migration-policies.ts';
import { addProvisionedUsers } from './migration-provisioning.ts';
import { addRecent } from './migration-recent.ts';
import { addRecords } from './migration-records.ts';
import { addRelays } from './migration-relays.ts';
import { addPolicyReports } from './migration-reports.ts';
import { renamePlans } from './migration-requests.ts';
import { addSnapshots } from './migration-snapshots.ts';
import { addBundleSources } from './migration-sources.ts';
import { addStages } from './migration-stages.ts';
import { addSummary } from './migration-summary.ts';
import { addTree } from './migration-tree.ts';
import { addWakes } from './migration-wakes.ts';

/** The tables of evidence in the first schema, with their unique keys. */
const FIRST_APPEND_ONLY = {
  records: [['seq'], ['id']],
  record_flags: [['flag', 'seq']],
  decisions: [['id']],
  flag_versions: [['flag', 'version']],
  flag_state_versions: [['flag', 'environment', 'version']],
  policy_bundles: [['hash']],
};

/** The history of the schema, newest last. A released migration is never edited. */
export const migrations: MigrationProvider = {
  getMigrations: async (): Promise<Record<string, Migration>> => ({
    '0001_init': { up: createSchema },
    '0002_identity': { up: addIdentity },
    '0003_house': { up: addHouse },
    '0004_provisioned_users': { up: addProvisionedUsers },
    '0005_denials': { up: addDenials },
    '0006_request_namespaces': { up: addRequestNamespaces },
    '0012_wakes': { up: addWakes },
    '0013_stages': { up: addStages },
    '0014_recent': { up: addRecent },
    '0015_bundle_sources': { up: addBundleSources },
    '0016_exchanges': { up: addExchanges },
    '0017_built_bundles': { up: addBuiltBundles },
    '0018_policy_reports': { up: addPolicyReports },
    '0020_tree': { up: addTree },
    '0021_log_keys': { up: addLogKeys },
    '0022_log_key_rotation': { up: addLogKeyRotation },
    '0023_cosignatures': { up: addCosignatures },
    '0024_cosigned_head': { up: addCosignedHead },
    '0025_evaluations': { up: addEvaluations },
    '0026_snapshots': { up: addSnapshots },
    '0027_archives': { up: addArchives },
    '0030_inbox': { up: addInbox },
    '0031_comments': { up: addComments },
    '0032_relays': { up: addRelays },
    '0033_summary': { up: addSummary },
  }),
};

async function createSchema(db: Kysely<unknown>): Promise<void> {
  await createInstallation(db);
  await createFlags(db);
  await createRequests(db);
  await createEmergency(db);
  await createLog(db);
  for (const [table, keys] of Object.entries(FIRST_APPEND_ONLY))
    await refuseChanges(db, table, keys, { ignoresRepeats: table === 'policy_bundles' });
}

/** Activations of policies, plans of request kinds, records that can be hashed permanently. */
async function addHouse(db: Kysely<unknown>): Promise<void> {
  // Reads the former records, so it runs before they are moved.
  await addActivations(db);
  await renamePlans(db);
  await addRecords(db);
}

async function createInstallation(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('meta')
    .addColumn('key', 'text', (c) => c.primaryKey().notNull())
    .addColumn('value', 'text', (c) => c.notNull())
    .execute();
  await db.schema
    .createTable('policy_bundles')
    .addColumn('hash', 'text', (c) => c.primaryKey().notNull())
    .addColumn('revision', 'text', (c) => c.notNull())
    .addColumn('archive', 'blob', (c) => c.notNull())
    .addColumn('stored_ms', 'bigint', (c) => c.notNull())
    .execute();
  await db.schema
    .createTable('signing_keys')
    .addColumn('kid', 'text', (c) => c.primaryKey().notNull())
    .addColumn('purpose', 'text', (c) => c.notNull())
    .addColumn('private_jwk', 'text', (c) => c.notNull())
    .addColumn('public_jwk', 'text', (c) => c.notNull())
    .addColumn('created_ms', 'bigint', (c) => c.notNull())
    .addColumn('retires_ms', 'bigint')
    .execute();
  await db.schema
    .createTable('used_tokens')
    .addColumn('issuer', 'text', (c) => c.notNull())
    .addColumn('jti', 'text', (c) => c.notNull())
    .addColumn('expires_ms', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('used_tokens_pk', ['issuer', 'jti'])
    .execute();
  await db.schema.createIndex('used_tokens_expiry').on('used_tokens').column('expires_ms').execute();
  await db.schema
    .createTable('idempotency_keys')
    .addColumn('principal_id', 'text', (c) => c.notNull())
    .addColumn('key', 'text', (c) => c.notNull())
    .addColumn('fingerprint', 'text', (c) => c.notNull())
    .addColumn('status', 'integer', (c) => c.notNull())
    .addColumn('body', 'text', (c) => c.notNull())
    .addColumn('created_ms', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('idempotency_keys_pk', ['principal_id', 'key'])
    .execute();
  await db.schema.createIndex('idempotency_keys_age').on('idempotency_keys').column('created_ms').execute();
}

async function createFlags(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('flags')
    .addColumn('key', 'text', (c) => c.primaryKey().notNull())
    .addColumn('namespace', 'text', (c) => c.notNull())
    .addColumn('version', 'integer', (c) => c.notNull())
    .addColumn('retired', 'integer', (c) => c.notNull())
    .addColumn('definition', 'text', (c) => c.notNull())
    .execute();
  await db.schema
    .createTable('flag_versions')
    .addColumn('flag', 'text', (c) => c.notNull())
    .addColumn('version', 'integer', (c) => c.notNull())
    .addColumn('definition', 'text', (c) => c.notNull())
    .addColumn('request_id', 'text', (c) => c.notNull())
    .addColumn('decision_id', 'text', (c) => c.notNull())
    .addColumn('at_ms', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('flag_versions_pk', ['flag', 'version'])
    .execute();
  await db.schema
    .createTable('flag_states')
    .addColumn('flag', 'text', (c) => c.notNull())
    .addColumn('environment', 'text', (c) => c.notNull())
    .addColumn('version', 'integer', (c) => c.notNull())
    .addColumn('state', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('flag_states_pk', ['environment', 'flag'])
    .execute();
  await db.schema
    .createTable('flag_state_versions')
    .addColumn('flag', 'text', (c) => c.notNull())
    .addColumn('environment', 'text', (c) => c.notNull())
    .addColumn('version', 'integer', (c) => c.notNull())
    .addColumn('state', 'text', (c) => c.notNull())
    .addColumn('request_id', 'text', (c) => c.notNull())
    .addColumn('decision_id', 'text', (c) => c.notNull())
    .addColumn('at_ms', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('flag_state_versions_pk', ['flag', 'environment', 'version'])
    .execute();
  await db.schema
    .createTable('environment_versions')
    .addColumn('environment', 'text', (c) => c.primaryKey().notNull())
    .addColumn('version', 'integer', (c) => c.notNull())
    .execute();
}

async function createRequests(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('requests')
    .addColumn('id', 'text', (c) => c.primaryKey().notNull())
    .addColumn('kind', 'text', (c) => c.notNull())
    .addColumn('environment', 'text')
    .addColumn('state', 'text', (c) => c.notNull())
    .addColumn('revision', 'integer', (c) => c.notNull())
    .addColumn('digest', 'text', (c) => c.notNull())
    .addColumn('content', 'text', (c) => c.notNull())
    .addColumn('planned', 'text', (c) => c.notNull())
    .addColumn('proposer', 'text', (c) => c.notNull())
    .addColumn('proposer_id', 'text', (c) => c.notNull())
    .addColumn('authors', 'text', (c) => c.notNull())
    .addColumn('created_ms', 'bigint', (c) => c.notNull())
    .addColumn('updated_ms', 'bigint', (c) => c.notNull())
    .addColumn('expires_ms', 'bigint', (c) => c.notNull())
    .addColumn('due_ms', 'bigint')
    .addColumn('standing', 'text', (c) => c.notNull())
    .addColumn('decision_id', 'text', (c) => c.notNull())
    .execute();
  await db.schema.createIndex('requests_state').on('requests').columns(['state', 'id']).execute();
  // Covers only requests that are due, so it stays small however many requests are closed.
  await sql`create index requests_due on requests (due_ms) where due_ms is not null`.execute(db);
  await db.schema.createIndex('requests_proposer').on('requests').columns(['proposer_id', 'id']).execute();
  await db.schema
    .createTable('request_flags')
    .addColumn('flag', 'text', (c) => c.notNull())
    .addColumn('request_id', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('request_flags_pk', ['flag', 'request_id'])
    .execute();
  await db.schema
    .createTable('votes')
    .addColumn('request_id', 'text', (c) => c.notNull())
    .addColumn('person', 'text', (c) => c.notNull())
    .addColumn('verdict', 'text', (c) => c.notNull())
    .addColumn('digest', 'text', (c) => c.notNull())
    .addColumn('principal', 'text', (c) => c.notNull())
    .addColumn('comment', 'text')
    .addColumn('at_ms', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('votes_pk', ['request_id', 'person'])
    .execute();
}

async function createEmergency(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('freezes')
    .addColumn('id', 'text', (c) => c.primaryKey().notNull())
    .addColumn('scope', 'text', (c) => c.notNull())
    .addColumn('environment', 'text')
    .addColumn('namespace', 'text')
    .addColumn('flag', 'text')
    .addColumn('incident', 'text', (c) => c.notNull())
    .addColumn('reason', 'text', (c) => c.notNull())
    .addColumn('engaged_by', 'text', (c) => c.notNull())
    .addColumn('engaged_ms', 'bigint', (c) => c.notNull())
    .addColumn('lifted_ms', 'bigint')
    .addColumn('lifted_by_request', 'text')
    .execute();
  await sql`create index freezes_active on freezes (engaged_ms) where lifted_ms is null`.execute(db);
  await db.schema
    .createTable('breakglass_sessions')
    .addColumn('id', 'text', (c) => c.primaryKey().notNull())
    .addColumn('person', 'text', (c) => c.notNull())
    .addColumn('principal', 'text', (c) => c.notNull())
    .addColumn('incident', 'text', (c) => c.notNull())
    .addColumn('reason', 'text', (c) => c.notNull())
    .addColumn('opened_ms', 'bigint', (c) => c.notNull())
    .addColumn('expires_ms', 'bigint', (c) => c.notNull())
    .addColumn('closed_ms', 'bigint')
    .execute();
  await db.schema
    .createIndex('breakglass_sessions_person')
    .on('breakglass_sessions')
    .columns(['person', 'opened_ms'])
    .execute();
}

async function createLog(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('records')
    .addColumn('seq', 'integer', (c) => c.primaryKey().autoIncrement())
    .addColumn('id', 'text', (c) => c.notNull().unique())
    .addColumn('at_ms', 'bigint', (c) => c.notNull())
    .addColumn('operation', 'text', (c) => c.notNull())
    .addColumn('outcome', 'text', (c) => c.notNull())
    .addColumn('principal_id', 'text', (c) => c.notNull())
    .addColumn('person', 'text')
    .addColumn('environment', 'text')
    .addColumn('request_id', 'text')
    .addColumn('policy_hash', 'text', (c) => c.notNull())
    .addColumn('record', 'text', (c) => c.notNull())
    .execute();
  await db.schema.createIndex('records_at').on('records').columns(['at_ms']).execute();
  await db.schema.createIndex('records_principal').on('records').columns(['principal_id', 'seq']).execute();
  await db.schema.createIndex('records_environment').on('records').columns(['environment', 'seq']).execute();
  await db.schema.createIndex('records_request').on('records').columns(['request_id', 'seq']).execute();
  await db.schema
    .createTable('record_flags')
    .addColumn('flag', 'text', (c) => c.notNull())
    .addColumn('seq', 'integer', (c) => c.notNull())
    .addPrimaryKeyConstraint('record_flags_pk', ['flag', 'seq'])
    .execute();
  await db.schema
    .createTable('decisions')
    .addColumn('id', 'text', (c) => c.primaryKey().notNull())
    .addColumn('input', 'text', (c) => c.notNull())
    .addColumn('result', 'text', (c) => c.notNull())
    .execute();
}
