import type { ProvisionedUsersTable } from './schema.ts';
import type { Db, Tx } from './statement.ts';

/** The users that an identity provider created or that a former version answered, by id. */
export function listProvisionedUsers(db: Db): Promise<ProvisionedUsersTable[]> {
  return db.selectFrom('provisioned_users').selectAll().orderBy('id').execute();
}

/** One user, or undefined. */
export function findProvisionedUser(db: Db, id: string): Promise<ProvisionedUsersTable | undefined> {
  return db.selectFrom('provisioned_users').selectAll().where('id', '=', id).executeTakeFirst();
}

/** Adds a user, or replaces what is stored of them. */
export async function putProvisionedUser(tx: Tx, row: ProvisionedUsersTable): Promise<void> {
  const { id: _, ...rest } = row;
  await tx
    .insertInto('provisioned_users')
    .values(row)
    .onConflict((conflict) => conflict.column('id').doUpdateSet(rest))
    .execute();
}

/** Removes a user, with their names. */
export async function removeProvisionedUser(tx: Tx, id: string): Promise<void> {
  await tx.deleteFrom('provisioned_users').where('id', '=', id).execute();
}
