import { loadVersion } from '../../version.ts';
import { shownDatabase } from '../database-address.ts';
import { findMeta, removeMeta, setMeta } from '../installation.ts';
import { WRITTEN_BY } from '../schema-version.ts';
import { REWRITE_DUE } from '../secrets.ts';
import type { Tx } from '../statement.ts';
import { kyselyOver, openDirectPool } from './connection.ts';
import { PostgresFault } from './faults.ts';
import { unusable } from './remedies.ts';
import { rewriteSecrets } from './rewrite.ts';
import { assertGrantable, grantTo as grantRole, listGranted } from './roles.ts';
import { changeSchema } from './schema-changes.ts';
import { assertUsable } from './usable.ts';

/**
 * Brings the schema of a database on a server up to date, and grants the roles of brokers what they need of it.
 *
 * @throws Error with what to do about it
 */
export async function migrateServer(
  address: string,
  { grantTo }: { grantTo: string | null },
): Promise<{ applied: string[]; granted: string[] }> {
  try {
    const pool = await openDirectPool(address);
    const db = kyselyOver(pool);
    try {
      await assertUsable(db);
      // First: a misspelt name is to change nothing.
      if (grantTo !== null) await assertGrantable(db, grantTo);
      const applied = await changeSchema(address);
      if (applied.length > 0) await setMeta(db as Tx, WRITTEN_BY, loadVersion());
      const roles = new Set([...(await listGranted(db)), ...(grantTo === null ? [] : [grantTo])]);
      for (const role of roles) await grantRole(db, role);
      // What the role of a broker could not do.
      if ((await findMeta(db, REWRITE_DUE)) !== null) {
        await rewriteSecrets(db);
        await removeMeta(db as Tx, REWRITE_DUE);
      }
      return { applied, granted: [...roles].toSorted() };
    } finally {
      await db.destroy();
    }
  } catch (error) {
    throw error instanceof PostgresFault ? unusable(shownDatabase(address), error) : error;
  }
}
