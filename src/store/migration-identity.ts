import { type Kysely, sql } from 'kysely';

/** Sessions, revocations, known principals, and void votes. */
export async function addIdentity(db: Kysely<unknown>): Promise<void> {
  await addSessions(db);
  await addRevocations(db);
  await addPrincipals(db);
  await db.schema.alterTable('votes').addColumn('voided_ms', 'bigint').execute();
}

async function addSessions(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('sign_ins')
    .addColumn('id_hash', 'text', (c) => c.primaryKey().notNull())
    .addColumn('state_hash', 'text', (c) => c.notNull())
    .addColumn('issuer_key', 'text', (c) => c.notNull())
    .addColumn('return_to', 'text', (c) => c.notNull())
    .addColumn('level', 'integer')
    .addColumn('max_age_s', 'integer')
    .addColumn('expires_ms', 'bigint', (c) => c.notNull())
    .execute();
  await db.schema.createIndex('sign_ins_expiry').on('sign_ins').column('expires_ms').execute();
  await db.schema
    .createTable('sessions')
    .addColumn('id', 'text', (c) => c.primaryKey().notNull())
    .addColumn('secret_hash', 'text', (c) => c.notNull().unique())
    .addColumn('issuer', 'text', (c) => c.notNull())
    .addColumn('issuer_key', 'text', (c) => c.notNull())
    .addColumn('sub', 'text', (c) => c.notNull())
    .addColumn('sid', 'text')
    .addColumn('principal_id', 'text', (c) => c.notNull())
    .addColumn('person', 'text')
    .addColumn('principal', 'text', (c) => c.notNull())
    .addColumn('user_agent', 'text', (c) => c.notNull())
    .addColumn('opened_ms', 'bigint', (c) => c.notNull())
    .addColumn('seen_ms', 'bigint', (c) => c.notNull())
    .addColumn('expires_ms', 'bigint', (c) => c.notNull())
    .addColumn('ended_ms', 'bigint')
    .addColumn('end_reason', 'text')
    .execute();
  await db.schema
    .createIndex('sessions_principal')
    .on('sessions')
    .columns(['principal_id', 'opened_ms'])
    .execute();
  await db.schema.createIndex('sessions_sid').on('sessions').columns(['issuer', 'sid']).execute();
}

async function addRevocations(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('revocations')
    .addColumn('id', 'text', (c) => c.primaryKey().notNull())
    .addColumn('kind', 'text', (c) => c.notNull())
    .addColumn('value', 'text', (c) => c.notNull())
    .addColumn('issued_before_ms', 'bigint')
    .addColumn('cause', 'text', (c) => c.notNull())
    .addColumn('incident', 'text', (c) => c.notNull())
    .addColumn('reason', 'text', (c) => c.notNull())
    .addColumn('created_by', 'text', (c) => c.notNull())
    .addColumn('created_ms', 'bigint', (c) => c.notNull())
    .addColumn('expires_ms', 'bigint')
    .addColumn('lifted_ms', 'bigint')
    .addColumn('lifted_by', 'text')
    .addColumn('person', 'text')
    .addColumn('returned_ms', 'bigint')
    .execute();
  await sql`create index revocations_active on revocations (created_ms) where lifted_ms is null`.execute(db);
}

async function addPrincipals(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('principals')
    .addColumn('id', 'text', (c) => c.primaryKey().notNull())
    .addColumn('kind', 'text', (c) => c.notNull())
    .addColumn('person', 'text')
    .addColumn('issuer', 'text', (c) => c.notNull())
    .addColumn('principal', 'text', (c) => c.notNull())
    .addColumn('first_seen_ms', 'bigint', (c) => c.notNull())
    .addColumn('last_seen_ms', 'bigint', (c) => c.notNull())
    .execute();
  await db.schema
    .createTable('grant_uses')
    .addColumn('principal_id', 'text', (c) => c.notNull())
    .addColumn('capability', 'text', (c) => c.notNull())
    .addColumn('environment', 'text', (c) => c.notNull())
    .addColumn('namespace', 'text', (c) => c.notNull())
    .addColumn('last_ms', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('grant_uses_pk', ['principal_id', 'capability', 'environment', 'namespace'])
    .execute();
}
