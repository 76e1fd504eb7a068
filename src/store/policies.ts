import type { PolicyActivationsTable, PolicyBundlesTable } from './schema.ts';
import { type Db, statement, type Tx } from './statement.ts';

/** What names one stored bundle: what it decides, and the very bytes that came. */
export type BundleKey = Pick<PolicyBundlesTable, 'policy_hash' | 'archive_digest'>;

/** An activation before it has its number. */
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

/** The activation that counts in the state that `db` sees, or null before the first start. */
export async function findActivation(db: Db): Promise<PolicyActivationsTable | null> {
  return (await findActivationStatement(db, {})).rows[0] ?? null;
}

/**
 * A stored bundle, or null. Of several archives of one policy hash any decides the same.
 *
 * @param key.archive_digest the very archive; the one that was stored first unless it is given
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

/** Stores a bundle. To store it again changes nothing; storing activates nothing. */
export async function storeBundle(tx: Tx, bundle: PolicyBundlesTable): Promise<void> {
  await tx
    .insertInto('policy_bundles')
    .values(bundle)
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** Appends an activation. It counts from then on in this transaction. The database refuses a bundle that is not stored. */
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
