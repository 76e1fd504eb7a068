import { type Kysely, sql } from 'kysely';

/**
 * The namespaces whose readers may see a request, so that lists can leave out the others in their query. Requests to lift
 * a freeze have that of the freeze; `*` means that only readers of all namespaces may see it.
 */
export async function addRequestNamespaces(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('request_namespaces')
    .addColumn('request_id', 'text', (c) => c.notNull())
    .addColumn('namespace', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('request_namespaces_pk', ['request_id', 'namespace'])
    .execute();
  await db.schema
    .createIndex('request_namespaces_namespace')
    .on('request_namespaces')
    .column('namespace')
    .execute();
  await db.schema.createIndex('flags_namespace').on('flags').columns(['namespace', 'key']).execute();
  await sql`insert into request_namespaces (request_id, namespace)
    select distinct requests.id, json_extract(change.value, '$.flag.namespace')
      from requests, json_each(requests.plan, '$.changes') as change
    union
    select id, case json_extract(plan, '$.object.type')
        when 'revocation' then '*'
        else coalesce(json_extract(plan, '$.object.namespace'), '*')
      end
      from requests
      where json_extract(plan, '$.object.type') = 'revocation'
        or (json_extract(plan, '$.object.type') = 'freeze'
          and json_extract(plan, '$.object.scope') in ('namespace', 'flag'))`.execute(db);
}
