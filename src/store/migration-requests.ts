import { type Kysely, sql } from 'kysely';

/**
 * Adds to each plan the version of the code that made it, and its object. Former plans have a freeze or a revocation
 * instead.
 */
export async function renamePlans(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('requests').renameColumn('planned', 'plan').execute();
  const object = sql`case
    when json_type(plan, '$.freeze') = 'object'
      then json_set(json_object('type', 'freeze'), ${members('freeze')})
    when json_type(plan, '$.revocation') = 'object'
      then json_set(json_object('type', 'revocation'), ${members('revocation')})
  end`;
  await sql`update requests set plan = json_object(
    'version', 1,
    'changes', json_extract(plan, '$.changes'),
    'object', json(${object}),
    'bases', json_extract(plan, '$.bases')
  )`.execute(db);
}

const MEMBERS = {
  freeze: ['id', 'scope', 'environment', 'namespace', 'flag', 'incident', 'reason'],
  revocation: ['id', 'kind', 'value', 'issued_before_ms', 'incident', 'reason'],
} as const;

function members(of: keyof typeof MEMBERS) {
  return sql.join(
    MEMBERS[of].flatMap((name) => [
      sql.lit(`$.${name}`),
      sql`json_extract(plan, ${sql.lit(`$.${of}.${name}`)})`,
    ]),
  );
}
