import { readHead } from './log-head.ts';
import { listSnapshots } from './snapshots.ts';
import type { Db } from './statement.ts';

/** What a relay says that it serves. */
export interface SaidToServe {
  version: number;
  digest: string;
}

/**
 * Tells whether what a relay says that it serves was published by the present log. The number alone does not: a relay may still
 * serve the history that a restore has lost, in which a version of the same number, or of a higher one, is something else.
 */
export async function servedHistory(db: Db, environment: string): Promise<(said: SaidToServe) => boolean> {
  const { epoch } = await readHead(db);
  const published = (await listSnapshots(db, environment)).filter((row) => row.epoch === epoch);
  const oldest = published.at(-1);
  return ({ version, digest }) => {
    if (published.some((row) => row.version === version && row.digest === digest)) return true;
    // What is kept no more was published, if there never was another history.
    return epoch === 1 && oldest !== undefined && version < oldest.version;
  };
}
