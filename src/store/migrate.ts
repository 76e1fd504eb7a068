import { existsSync } from 'node:fs';
import { loadVersion } from '../version.ts';
import { kyselyOver, openConnection } from './connection.ts';
import { isAddress, shownDatabase } from './database-address.ts';
import { assertUndamaged } from './file-check.ts';
import { claimFile } from './file-lock.ts';
import { migrateFile, missingMigrations } from './file-schema.ts';
import { setMeta } from './installation.ts';
import { migrateServer } from './postgres/migrate.ts';
import { WRITTEN_BY } from './schema-version.ts';
import type { Tx } from './statement.ts';

/*
 * Brings the schema of a database up to date, apart from any broker.
 */

/** What a migration did. */
export interface Migrated {
  /** The database as it may be shown. */
  database: string;
  /** The changes of the schema that were applied, in order; empty if it was up to date. */
  applied: string[];
  /** The roles that have what a broker needs, and no other right. */
  granted: string[];
}

/**
 * Brings the schema of a database up to date. A file must not be in use; on a server, brokers may run.
 *
 * @param grantTo the role of the broker on the server, which gets the rights that it needs; null: those that have them keep them
 * @throws Error with what to do about it; nothing has changed then
 */
export async function migrateDatabase(
  database: string,
  { grantTo }: { grantTo: string | null },
): Promise<Migrated> {
  const shown = shownDatabase(database);
  if (isAddress(database)) return { database: shown, ...(await migrateServer(database, { grantTo })) };
  if (grantTo !== null)
    throw new Error(`${database} is a file, which has no roles: leave --grant-to out, or name a server`);
  if (!existsSync(database))
    throw new Error(`the database ${database} does not exist. The first start of a broker creates it`);
  const claim = claimFile(database);
  try {
    return { database: shown, applied: await migrateClaimed(claim.path), granted: [] };
  } finally {
    claim.release();
  }
}

async function migrateClaimed(path: string): Promise<string[]> {
  const connection = openConnection(path, { readonly: false });
  try {
    assertUndamaged(connection);
    const missing = await missingMigrations(connection);
    if (missing.length === 0) return [];
    const db = kyselyOver(connection, () => undefined);
    await migrateFile(connection, db);
    await setMeta(db as Tx, WRITTEN_BY, loadVersion());
    return missing;
  } finally {
    connection.close();
  }
}
