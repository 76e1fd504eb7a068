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

/** The published snapshots of an environment whose bodies are kept, the newest first. */
export function listSnapshots(db: Db, environment: string): Promise<SnapshotRow[]> {
  return db
    .selectFrom('snapshots')
    .select(COLUMNS)
    .where('environment', '=', environment)
    .orderBy('epoch', 'desc')
    .orderBy('version', 'desc')
    .execute();
}

/** Which body it is. */
type BodyName = Pick<SnapshotRow, 'environment' | 'version' | 'digest'>;

/** The body of a snapshot, or undefined if it is not kept (any more). */
export async function findSnapshotBody(db: Db, name: BodyName): Promise<string | undefined> {
  return (await withBody(db, name).select('body').executeTakeFirst())?.body;
}

/** Whether a body is kept. Its megabytes are not read. */
export async function hasSnapshotBody(db: Db, name: BodyName): Promise<boolean> {
  return (await withBody(db, name).select('version').executeTakeFirst()) !== undefined;
}

/** A snapshot of an earlier epoch may have the same body. */
function withBody(db: Db, { environment, version, digest }: BodyName) {
  return db
    .selectFrom('snapshots')
    .where('environment', '=', environment)
    .where('version', '=', version)
    .where('digest', '=', digest)
    .limit(1);
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
