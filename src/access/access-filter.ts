import { type Asking, assertPrincipal, namedNamespace } from '../decide/names.ts';
import { nearestOf, unknownName } from '../unknown-name.ts';
import type { AccessFilter } from './access.ts';

/**
 * Checks the names that the answer is limited to: an answer without grants must not hide a misspelt name. Whoever may read
 * who has access may know every name.
 *
 * @throws BrokerError `not_found`
 */
export async function assertAccessFilter(
  { db, policy }: Pick<Asking, 'db' | 'policy'>,
  { principal, namespace }: Pick<AccessFilter, 'principal' | 'namespace'>,
): Promise<void> {
  if (principal !== undefined) await assertPrincipal(db, principal, '#/principal');
  if (namespace === undefined) return;
  const at = { namespace, environment: null, pointer: '#/namespace' };
  const { places, unknown, like } = await namedNamespace(db, policy, at);
  if (places !== null) return;
  const names = (await like?.())?.map(({ name }) => name) ?? [];
  throw unknownName({ ...unknown, nearest: nearestOf(namespace, names) });
}
