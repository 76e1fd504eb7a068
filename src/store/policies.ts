import type { BundleSourcesTable, PolicyActivationsTable, PolicyBundlesTable } from './schema.ts';
import { type Db, settledStatement, statement, type Tx } from './statement.ts';

/** The key of a stored bundle: its policy hash, and the digest of its exact bytes. */
export type BundleKey = Pick<PolicyBundlesTable, 'policy_hash' | 'archive_digest'>;

/** An activation without its number. */
export type NewActivation = Omit<PolicyActivationsTable, 'number' | 'module'> &
  Partial<Pick<PolicyActivationsTable, 'module'>>;

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

/** The current activation of the last stage in the state that `db` sees, or null before the first start. */
export async function findActivation(db: Db): Promise<PolicyActivationsTable | null> {
  return (await findActivationStatement(db, {})).rows[0] ?? null;
}

/** The current activation of a stage, or null if it never had one of its own. @param stage null: the last one */
export async function findActivationOf(db: Db, stage: string | null): Promise<PolicyActivationsTable | null> {
  if (stage === null) return findActivation(db);
  const row = await db
    .selectFrom('policy_activations')
    .selectAll()
    .where('stage', '=', stage)
    .orderBy('number', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row ?? null;
}

/** One activation, or null. */
export async function findActivationByNumber(db: Db, number: number): Promise<PolicyActivationsTable | null> {
  const row = await db
    .selectFrom('policy_activations')
    .selectAll()
    .where('number', '=', number)
    .executeTakeFirst();
  return row ?? null;
}

/** Whether a module, or exactly a policy, was ever active in a stage. */
export async function wasActiveIn(
  db: Db,
  stage: string | null,
  { module, policy_hash }: { module: string; policy_hash: string },
): Promise<boolean> {
  const row = await db
    .selectFrom('policy_activations')
    .select('number')
    .where('stage', stage === null ? 'is' : '=', stage)
    .where((e) => e.or([e('module', '=', module), e('policy_hash', '=', policy_hash)]))
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

/** When a stage went over to another module than that of one of its activations; null if it did not. */
export async function findEndOfModule(
  db: Db,
  { number, stage, module }: Pick<PolicyActivationsTable, 'number' | 'stage' | 'module'>,
): Promise<number | null> {
  const row = await db
    .selectFrom('policy_activations')
    .select('activated_ms')
    .where('stage', stage === null ? 'is' : '=', stage)
    .where('number', '>', number)
    .where('module', '!=', module)
    .orderBy('number')
    .limit(1)
    .executeTakeFirst();
  return row?.activated_ms ?? null;
}

const findNewestNumberStatement = settledStatement<object, { number: number | null }>(
  'policy_activations',
  (db) => db.selectFrom('policy_activations').select((e) => e.fn.max('number').as('number')),
);

/** The number of the newest activation, of any stage; 0 before the first start. */
export async function findNewestNumber(db: Db): Promise<number> {
  return (await findNewestNumberStatement(db, {})).rows[0]?.number ?? 0;
}

/** Tells the writes of a batch that number. */
export function knowNewestNumber(tx: Tx, number: number | null): void {
  findNewestNumberStatement.know(tx, {}, [{ number }]);
}

/** The current activation of each stage that ever had one. */
export function listCurrentActivations(db: Db): Promise<PolicyActivationsTable[]> {
  return db
    .selectFrom('policy_activations')
    .selectAll()
    .where('number', 'in', (e) =>
      e
        .selectFrom('policy_activations')
        .select((each) => each.fn.max('number').as('newest'))
        .groupBy('stage'),
    )
    .execute();
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

/** A stored bundle without its archive. */
export interface BundleSummary extends Omit<PolicyBundlesTable, 'archive'> {
  /** The size of its archive. */
  bytes: number;
  /** {@link BundleSourcesTable.source}, or null. */
  source: string | null;
}

/**
 * The stored bundles, newest first.
 *
 * @param query.before the last one of the former page, or null
 */
export async function listBundles(
  db: Db,
  { before, limit }: { before: Pick<BundleSummary, 'stored_ms' | 'archive_digest'> | null; limit: number },
): Promise<BundleSummary[]> {
  let query = db
    .selectFrom('policy_bundles')
    .leftJoin('bundle_sources', 'bundle_sources.archive_digest', 'policy_bundles.archive_digest')
    .select([
      'policy_hash',
      'policy_bundles.archive_digest',
      'revision',
      'policy_bundles.stored_ms',
      'source',
    ])
    .select((e) => e.fn<number>('length', ['archive']).as('bytes'));
  if (before !== null) {
    const { stored_ms, archive_digest } = before;
    query = query.where((e) =>
      e.or([
        e('policy_bundles.stored_ms', '<', stored_ms),
        e.and([
          e('policy_bundles.stored_ms', '=', stored_ms),
          e('policy_bundles.archive_digest', '<', archive_digest),
        ]),
      ]),
    );
  }
  return query
    .orderBy('policy_bundles.stored_ms', 'desc')
    .orderBy('policy_bundles.archive_digest', 'desc')
    .limit(limit)
    .execute();
}

/**
 * The activations, newest first, with the label of each bundle.
 *
 * @param query.stage only those of an earlier stage; null: only those of the last one; undefined: all
 */
export async function listActivations(
  db: Db,
  {
    stage,
    beforeNumber,
    limit,
  }: { stage?: string | null | undefined; beforeNumber: number | null; limit: number },
): Promise<(PolicyActivationsTable & { revision: string })[]> {
  let query = db
    .selectFrom('policy_activations')
    .innerJoin('policy_bundles', (join) =>
      join
        .onRef('policy_bundles.policy_hash', '=', 'policy_activations.policy_hash')
        .onRef('policy_bundles.archive_digest', '=', 'policy_activations.archive_digest'),
    )
    .selectAll('policy_activations')
    .select('policy_bundles.revision');
  if (stage !== undefined) query = query.where('stage', stage === null ? 'is' : '=', stage);
  if (beforeNumber !== null) query = query.where('number', '<', beforeNumber);
  return query.orderBy('number', 'desc').limit(limit).execute();
}

/** An activation without a decision: by the first start, or by a recovery at the machine. */
export interface Bootstrap
  extends Pick<PolicyActivationsTable, 'number' | 'activated_ms' | 'policy_hash' | 'decision_id'> {
  kind: 'first_start' | 'recovery';
}

/** The newest activations without a decision, newest first: at most 100. */
export async function listBootstraps(db: Db): Promise<Bootstrap[]> {
  const rows = await db
    .selectFrom('policy_activations')
    .select(['number', 'activated_ms', 'policy_hash', 'decision_id'])
    .where('request_id', 'is', null)
    .orderBy('number', 'desc')
    .limit(100)
    .execute();
  return rows.map((row) => ({ ...row, kind: row.number === 1 ? 'first_start' : 'recovery' }));
}

/** Stores a bundle. Idempotent; storing does not activate. */
export async function storeBundle(tx: Tx, bundle: PolicyBundlesTable): Promise<void> {
  await tx
    .insertInto('policy_bundles')
    .values(bundle)
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** The source of a bundle as JSON, or null if no CI job uploaded it. */
export async function findBundleSource(db: Db, archive_digest: string): Promise<string | null> {
  const row = await db
    .selectFrom('bundle_sources')
    .select('source')
    .where('archive_digest', '=', archive_digest)
    .executeTakeFirst();
  return row?.source ?? null;
}

/** The uploaded bundle whose module a bundle has: itself, unless the broker built it. */
export async function rootOf(db: Db, { policy_hash, archive_digest }: BundleKey): Promise<BundleKey> {
  const row = await db
    .selectFrom('built_bundles')
    .selectAll()
    .where('archive_digest', '=', archive_digest)
    .executeTakeFirst();
  return row === undefined
    ? { policy_hash, archive_digest }
    : { policy_hash: row.root_hash, archive_digest: row.root_digest };
}

/** Notes that the broker built a bundle. @param from the bundle whose module it has, which may be built too */
export async function storeBuilt(tx: Tx, archive_digest: string, from: BundleKey): Promise<void> {
  const root = await rootOf(tx, from);
  await tx
    .insertInto('built_bundles')
    .values({ archive_digest, root_hash: root.policy_hash, root_digest: root.archive_digest })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** Notes the source of a bundle. The first one stays. */
export async function storeBundleSource(tx: Tx, row: BundleSourcesTable): Promise<void> {
  await tx
    .insertInto('bundle_sources')
    .values(row)
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
    .values({ module: null, ...activation, number: newest + 1 })
    .execute();
}
