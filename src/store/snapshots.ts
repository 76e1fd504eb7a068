import type { SnapshotsTable } from './schema-log.ts';
import type { Db, Tx } from './statement.ts';

/** How many bodies of an environment are kept: a reader may still ask for the one that a pointer named a moment ago. */
const KEPT = 8;

/** A published snapshot, without its body. */
export type SnapshotRow = Omit<SnapshotsTable, 'body'>;

const COLUMNS = ['environment', 'epoch', 'version', 'digest', 'previous', 'size', 'place'] as const;

/** The snapshot of an environment that was published last, or undefined. */
export async function findLatestSnapshot(db: Db, environment: string): Promise<SnapshotRow | undefined> {
  return db
    .selectFrom('snapshots')
    .select(COLUMNS)
    .where('environment', '=', environment)
    .orderBy('epoch', 'desc')
    .orderBy('version', 'desc')
    .limit(1)
    .executeTakeFirst();
}

/** The body of a snapshot, or undefined if it is not kept (any more). */
export async function findSnapshotBody(
  db: Db,
  { environment, version, digest }: Pick<SnapshotRow, 'environment' | 'version' | 'digest'>,
): Promise<string | undefined> {
  const row = await db
    .selectFrom('snapshots')
    .select('body')
    .where('environment', '=', environment)
    .where('version', '=', version)
    .where('digest', '=', digest)
    .limit(1)
    .executeTakeFirst();
  return row?.body;
}

/** Whether a body is kept. Its megabytes are not read. */
export async function hasSnapshotBody(
  db: Db,
  { environment, version, digest }: Pick<SnapshotRow, 'environment' | 'version' | 'digest'>,
): Promise<boolean> {
  const row = await db
    .selectFrom('snapshots')
    .select('version')
    .where('environment', '=', environment)
    .where('version', '=', version)
    .where('digest', '=', digest)
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

/** Keeps a snapshot, and removes those that were kept for long enough. */
export async function insertSnapshot(tx: Tx, row: SnapshotsTable): Promise<void> {
  await tx.insertInto('snapshots').values(row).execute();
  const former = await tx
    .selectFrom('snapshots')
    .select(['epoch', 'version'])
    .where('environment', '=', row.environment)
    .orderBy('epoch', 'desc')
    .orderBy('version', 'desc')
    .offset(KEPT)
    .limit(KEPT)
    .execute();
  for (const { epoch, version } of former)
    await tx
      .deleteFrom('snapshots')
      .where('environment', '=', row.environment)
      .where('epoch', '=', epoch)
      .where('version', '=', version)
      .execute();
}
