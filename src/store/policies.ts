import type { PolicyActivationsTable, PolicyBundlesTable } from './schema.ts';
import { type Db, statement, type Tx } from './statement.ts';

/** The key of a stored bundle: its policy hash, and the digest of its exact bytes. */
export type BundleKey = Pick<PolicyBundlesTable, 'policy_hash' | 'archive_digest'>;

/** An activation without its number. */
export type NewActivation = Omit<PolicyActivationsTable, 'number'>;

const findActivationStatement = statement<object, PolicyActivationsTable>((db) =>
  db
    .selectFrom('policy_activations')
    .selectAll()
    .where('number', '=', (e) =>
      e
        .selectFrom('policy_activations')
        .select((each) => each.fn.max('number').as('newest'))
        .where('stage', 'is', null),
    ),
);

/** The current activation in the state that `db` sees, or null before the first start. */
export async function findActivation(db: Db): Promise<PolicyActivationsTable | null> {
  return (await findActivationStatement(db, {})).rows[0] ?? null;
}

/**
 * A stored bundle, or null. All archives with the same policy hash decide the same.
 *
 * @param key.archive_digest the exact archive; default: the one that was stored first
 */
export async function findBundle(
  db: Db,
  { policy_hash, archive_digest }: Pick<BundleKey, 'policy_hash'> & Partial<BundleKey>,
): Promise<PolicyBundlesTable | null> {
  let query = db.selectFrom('policy_bundles').selectAll().where('policy_hash', '=', policy_hash);
  if (archive_digest !== undefined) query = query.where('archive_digest', '=', archive_digest);
  const found = await query.orderBy('stored_ms').orderBy('archive_digest').limit(1).executeTakeFirst();
  return found ?? null;
}

/** Stores a bundle. Idempotent; storing does not activate. */
export async function storeBundle(tx: Tx, bundle: PolicyBundlesTable): Promise<void> {
  await tx
    .insertInto('policy_bundles')
    .values(bundle)
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** Appends an activation, effective from here on in this transaction. The database refuses a bundle that is not stored. */
export async function insertActivation(tx: Tx, activation: NewActivation): Promise<void> {
  const { newest } = await tx
    .selectFrom('policy_activations')
    .select((e) => e.fn.coalesce(e.fn.max('number'), e.lit(0)).as('newest'))
    .executeTakeFirstOrThrow();
  await tx
    .insertInto('policy_activations')
    .values({ ...activation, number: newest + 1 })
    .execute();
}
