import { type Kysely, sql } from 'kysely';
import type { Schema } from '../schema.ts';

/** The oldest version that is tested, as the server numbers it. */
const OLDEST_SERVER = 150_000;

interface ServerState {
  version: number;
  fsync: string;
  full_page_writes: string;
  encoding: string;
}

/** Asserts that a server keeps what it has acknowledged. */
export async function assertUsable(db: Kysely<Schema>): Promise<void> {
  const { rows } = await sql<ServerState>`select current_setting('server_version_num')::bigint as version,
    current_setting('fsync') as fsync, current_setting('full_page_writes') as full_page_writes,
    current_setting('server_encoding') as encoding`.execute(db);
  const [state] = rows as [ServerState];
  if (state.version < OLDEST_SERVER)
    throw new Error('the PostgreSQL server is too old: version 15 or later is required');
  if (state.encoding !== 'UTF8')
    throw new Error(`the database has the encoding ${state.encoding}; UTF8 is required`);
  if (state.fsync !== 'on' || state.full_page_writes !== 'on') {
    throw new Error(
      `the PostgreSQL server runs with fsync=${state.fsync} full_page_writes=${state.full_page_writes}, so it could lose what was acknowledged; both must be on`,
    );
  }
}
