import { type Kysely, sql } from 'kysely';

/**
 * The users that an identity provider created. Formerly every name was a user, and only the disabled ones were stored.
 *
 * Providers keep the ids that a former version answered: those of everybody whom it was asked to enable or disable, and
 * of everybody who had signed in. These ids stay valid, except of deleted users. They are not linked: the provider has
 * not said yet what it calls the user.
 */
export async function addProvisionedUsers(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('provisioned_users')
    .addColumn('id', 'text', (c) => c.primaryKey().notNull())
    .addColumn('user_name', 'text')
    .addColumn('external_id', 'text')
    .addColumn('linked_ms', 'bigint')
    .execute();
  await sql`insert into provisioned_users (id)
    select value from revocations where kind = 'subject' and cause = 'provisioning'
    union
    select person from principals where kind = 'person' and person is not null
    union
    select substr(json_extract(details, '$.outcome.note.detail'), length('subject ') + 1) from record_details
      where operation in ('principal.enable', 'principal.disable') and outcome = 'allow'
        and json_extract(details, '$.outcome.note.detail') like 'subject %'`.execute(db);
  await sql`delete from provisioned_users where id in (
    select value from revocations where cause = 'provisioning' and person_state = 'deleted' and lifted_ms is null)`.execute(
    db,
  );
}
