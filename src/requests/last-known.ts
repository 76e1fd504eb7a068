import type { Principal } from '../principal.ts';
import { findNewestOfPerson } from '../store/principals.ts';
import type { PrincipalsTable } from '../store/schema.ts';
import type { Db } from '../store/statement.ts';

/**
 * A principal with the groups and claims of the newest credential that was seen, so that a role which was lost since then
 * no longer counts. They are those of the principal's own act if nothing newer was seen. For an agent they are its
 * sponsor's. A workload has its roles by its trust rule, which is always the current one.
 *
 * @param act.actedMs when the principal acted, in epoch milliseconds
 * @param act.seen the persons among the principals, as last seen
 */
export async function lastKnown(
  db: Db,
  principal: Principal,
  {
    actedMs,
    seen,
  }: { actedMs: number; seen: ReadonlyMap<string, Pick<PrincipalsTable, 'principal' | 'last_seen_ms'>> },
): Promise<Principal> {
  if (principal.kind === 'workload') return principal;
  const row =
    principal.kind === 'person'
      ? seen.get(principal.id)
      : await findNewestOfPerson(db, { person: principal.person, issuer: principal.issuer });
  if (row === undefined) return { ...principal, groups_seen_ms: actedMs };
  const { groups, claims, token } = JSON.parse(row.principal) as Principal;
  // Somebody may act with a credential that is still valid after a newer one was seen.
  const isNewer =
    principal.kind === 'person' && (token.issued_ms ?? 0) > (principal.token.issued_ms ?? row.last_seen_ms);
  if (row.last_seen_ms < actedMs && !isNewer) return { ...principal, groups_seen_ms: actedMs };
  return { ...principal, groups, claims, groups_seen_ms: row.last_seen_ms };
}
