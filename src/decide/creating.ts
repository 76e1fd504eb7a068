import { findOpenRequestsOf } from '../store/requests.ts';
import type { Db } from '../store/statement.ts';
import type { Named } from './control.ts';

/**
 * The open requests that create a flag, newest first, for an answer about a flag that does not exist.
 *
 * @see Named.pending
 */
export async function creatingRequests(db: Db, key: string): Promise<NonNullable<Named['pending']>> {
  const open = await findOpenRequestsOf(db, key);
  return open
    .filter(({ content }) => creates(JSON.parse(content), key))
    .map(({ id, environment, namespaces }) => ({
      id,
      places: namespaces.map((namespace) => ({ namespace, environment })),
    }));
}

/** A sentence for an answer about a flag that does not exist. @param request the open request that creates it */
export function describeCreating(request: string | undefined): string {
  return request === undefined
    ? ''
    : `The open request ${request} creates it, once it is approved and applied.`;
}

function creates(content: { changes?: { action: string; flag: string }[] }, key: string): boolean {
  return content.changes?.some(({ action, flag }) => action === 'create' && flag === key) ?? false;
}
