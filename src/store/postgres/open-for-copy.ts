import { shownDatabase } from '../database-address.ts';
import type { Db } from '../statement.ts';
import { kyselyOver, openPool } from './connection.ts';
import { PostgresFault } from './faults.ts';
import { unusable } from './remedies.ts';
import { prepareSchema } from './schema-changes.ts';
import { assertUsable } from './usable.ts';

/** Opens a database on a server for the copy of an installation, without being its broker. */
export async function openForCopy(address: string): Promise<Db> {
  const db = kyselyOver(openPool(address, { max: 1 }));
  try {
    await assertUsable(db);
    await prepareSchema(db, address);
    return db;
  } catch (error) {
    await db.destroy();
    throw error instanceof PostgresFault ? unusable(shownDatabase(address), error) : error;
  }
}
