import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDatabase } from './postgres.ts';
import { IS_POSTGRES } from './postgres-server.ts';
import { holdWriteLock } from './sqlite/file.ts';
import { moveFence } from './sqlite/log.ts';

/*
 * Where the store of a test is. Files that try what both engines promise run twice: on a file, and on a PostgreSQL server
 * (`vitest.config.ts` lists them).
 */

/** A new, empty place for a store. */
export interface Place {
  /** As `openStore` takes it. */
  database: string;
  /** Another program takes the lock of the writer, and gives it back at once. Fails if somebody has it. */
  takeLock(): Promise<void>;
  /** Another process takes over the writer. */
  moveFence(): Promise<void>;
  remove(): Promise<void>;
}

/** Creates a place on the engine of this run. */
export async function createPlace(): Promise<Place> {
  if (IS_POSTGRES) {
    const { address, run, remove } = await createDatabase();
    return {
      database: address,
      takeLock: async () => {
        await run('select 1 from log_head for update nowait');
      },
      moveFence: async () => {
        await run('update log_head set fence = fence + 1');
      },
      remove,
    };
  }
  const folder = await mkdtemp(join(tmpdir(), 'countersign-store-'));
  const file = join(folder, 'test.db');
  return {
    database: file,
    takeLock: async () => holdWriteLock(file, { timeoutMs: 0 })(),
    moveFence: async () => moveFence(file, 1),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}
