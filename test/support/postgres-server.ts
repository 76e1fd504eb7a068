import { existsSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/* Whether the machine has a PostgreSQL server for tests, and where that of a run is. */

/** Whether this run is the one on PostgreSQL. */
export const IS_POSTGRES = process.env.COUNTERSIGN_TEST_ENGINE === 'postgres';

const DEBIAN = '/usr/lib/postgresql';
/** Of memory: the tests try what the server answers, and not the disk below it. */
const SHARED_MEMORY = '/dev/shm';
/** The folder in which the servers of tests have theirs. */
export const SERVERS_FOLDER = existsSync(SHARED_MEMORY) ? SHARED_MEMORY : tmpdir();

/** The folder of the newest installed server's programs, or null. */
export function findPostgres(): string | null {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN) : [];
  const newest = versions.toSorted((one, other) => Number(other) - Number(one));
  const folders = [...newest.map((version) => join(DEBIAN, version, 'bin')), ...pathFolders()];
  return folders.find((folder) => existsSync(join(folder, 'initdb'))) ?? null;
}

function pathFolders(): string[] {
  return (process.env.PATH ?? '').split(':').filter((folder) => folder !== '');
}

/**
 * Whether there is a server for tests. Says loudly if there is none: what a run did not test should be seen.
 *
 * @param what the tests that need it
 */
export function hasPostgres(what: string): boolean {
  if (findPostgres() !== null) return true;
  process.stderr.write(
    `\nskipped: ${what}, because this machine has no PostgreSQL server (Debian: apt-get install postgresql)\n\n`,
  );
  return false;
}

/** The folder of the server of a run. Nothing is created until a test needs it. */
export function folderOf(runner: number): string {
  return join(SERVERS_FOLDER, `countersign-postgres-${runner}`);
}
