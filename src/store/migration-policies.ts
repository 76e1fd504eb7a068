import { type Kysely, sql } from 'kysely';
import { sha256Hex } from '../json.ts';
import { refuseChanges } from './append-only.ts';
import type { PolicyActivationsTable, PolicyBundlesTable } from './schema.ts';

/** The parts of the former and of the new schema that policies move between. */
interface BothSchemas {
  meta: { key: string; value: string };
  records: { seq: number; id: string; at_ms: number; operation: string; policy_hash: string };
  former_bundles: { hash: string; revision: string; archive: Buffer; stored_ms: number };
  policy_bundles: PolicyBundlesTable;
  policy_activations: Omit<PolicyActivationsTable, 'module'>;
}

/**
 * Bundles by policy hash and archive digest, and the list of activations in place of the one active hash. Reads the
 * records in their former tables, so it runs before the step that moves them.
 */
export async function addActivations(db: Kysely<unknown>): Promise<void> {
  // Its triggers are dropped with it, and created again for the new key.
  await db.schema.alterTable('policy_bundles').renameTo('former_bundles').execute();
  await createBundles(db);
  await createActivations(db);
  await moveBundles(db as Kysely<BothSchemas>);
  await moveActive(db as Kysely<BothSchemas>);
  await db.schema.dropTable('former_bundles').execute();
  await refuseChanges(db, 'policy_bundles', [['policy_hash', 'archive_digest']], { ignoresRepeats: true });
  await refuseChanges(db, 'policy_activations', [['number']]);
}

async function createBundles(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('policy_bundles')
    .addColumn('policy_hash', 'text', (c) => c.notNull())
    .addColumn('archive_digest', 'text', (c) => c.notNull())
    .addColumn('revision', 'text', (c) => c.notNull())
    .addColumn('archive', 'blob', (c) => c.notNull())
    .addColumn('stored_ms', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('policy_bundles_pk', ['policy_hash', 'archive_digest'])
    .execute();
}

async function createActivations(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('policy_activations')
    .addColumn('number', 'integer', (c) => c.primaryKey().notNull())
    .addColumn('policy_hash', 'text', (c) => c.notNull())
    .addColumn('archive_digest', 'text', (c) => c.notNull())
    .addColumn('activated_ms', 'bigint', (c) => c.notNull())
    .addColumn('decision_id', 'text')
    .addColumn('request_id', 'text')
    .addColumn('stage', 'text')
    .addForeignKeyConstraint(
      'policy_activations_bundle',
      ['policy_hash', 'archive_digest'],
      'policy_bundles',
      ['policy_hash', 'archive_digest'],
    )
    .execute();
  await sql`create trigger policy_activations_refuse_gap before insert on policy_activations
    when new.number <> (select coalesce(max(number), 0) + 1 from policy_activations)
    begin select raise(abort, 'policy_activations is append-only, and without gaps'); end`.execute(db);
}

/** Holds only one archive in memory at a time. */
async function moveBundles(db: Kysely<BothSchemas>): Promise<void> {
  for (const { hash } of await db.selectFrom('former_bundles').select('hash').execute()) {
    const { hash: policy_hash, ...bundle } = await db
      .selectFrom('former_bundles')
      .selectAll()
      .where('hash', '=', hash)
      .executeTakeFirstOrThrow();
    const archive_digest = `sha256:${sha256Hex(bundle.archive)}`;
    await db
      .insertInto('policy_bundles')
      .values({ policy_hash, archive_digest, ...bundle })
      .execute();
  }
}

/** The active policy becomes the first activation, with its record if there is one. */
async function moveActive(db: Kysely<BothSchemas>): Promise<void> {
  const active = await db
    .selectFrom('meta')
    .innerJoin('policy_bundles', 'policy_bundles.policy_hash', 'meta.value')
    .select(['policy_bundles.policy_hash', 'policy_bundles.archive_digest', 'policy_bundles.stored_ms'])
    .where('meta.key', '=', 'active_policy')
    .executeTakeFirst();
  if (active === undefined) return;
  const { policy_hash, archive_digest, stored_ms } = active;
  const record = await db
    .selectFrom('records')
    .select(['id', 'at_ms'])
    .where('operation', '=', 'policy.activate')
    .where('policy_hash', '=', policy_hash)
    .orderBy('seq', 'desc')
    .executeTakeFirst();
  await db
    .insertInto('policy_activations')
    .values({
      number: 1,
      policy_hash,
      archive_digest,
      activated_ms: record?.at_ms ?? stored_ms,
      decision_id: record?.id ?? null,
      request_id: null,
      stage: null,
    })
    .execute();
  await db.deleteFrom('meta').where('key', '=', 'active_policy').execute();
}
