import { type Kysely, sql } from 'kysely';
import type { Schema } from '../schema.ts';

/** The tables that hold secrets, sealed under the master key. */
const WITH_SECRETS = ['meta', 'signing_keys', 'log_keys'];

/**
 * Rewrites the tables that hold secrets, so that their former text does not remain in the files of the server.
 *
 * @throws Error with the command that helps, if the role does not own them: the server would leave them out, with a warning
 */
export async function rewriteSecrets(db: Kysely<Schema>): Promise<void> {
  const { rows } = await sql<{ role: string; owns: boolean }>`
    select current_user as role, pg_has_role(relowner, 'usage') as owns from pg_class
    where oid = 'meta'::regclass`.execute(db);
  if (rows[0]?.owns !== true)
    throw new Error(
      `secrets were sealed again, and the tables with their former text are to be rewritten, which the role "${rows[0]?.role}" may not do. Run "countersign migrate --database ADDRESS" with an address of the role that owns the tables, then start again`,
    );
  for (const table of WITH_SECRETS) await sql`vacuum full ${sql.table(table)}`.execute(db);
}
