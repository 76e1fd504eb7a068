import type { LikeName, WriteContext } from '../decide/control.ts';
import { flagsLike, namespacesLike, nearestSeen } from '../decide/names.ts';
import type { BrokerError } from '../errors.ts';
import type { FreezeScope } from '../policy/input.ts';
import { findDefinition, listFlagNames } from '../store/flags.ts';
import { unknownName } from '../unknown-name.ts';

/**
 * Checks that a scope names a flag or a namespace that exists. A freeze of a misspelt name would freeze nothing, and say that
 * it holds. A namespace exists here only with a flag in it.
 *
 * @returns the fault, with the nearest name that the caller may read; null if everything exists
 */
export async function faultOfScope(writing: WriteContext, scope: FreezeScope): Promise<BrokerError | null> {
  const { tx, policy } = writing;
  const { namespace, flag } = scope;
  if (flag !== null && (await findDefinition(tx, flag)) === undefined) {
    return unknown(writing, { what: 'flag', name: flag, like: await flagsLike(tx, flag) });
  }
  if (namespace === null) return null;
  const present = await listFlagNames(tx, { namespace, limit: 1 });
  if (present.length > 0) return null;
  return unknown(writing, { what: 'namespace', name: namespace, like: await namespacesLike(tx, policy) });
}

function unknown(
  { policy, call: { principal }, now_ms }: WriteContext,
  { what, name, like }: { what: 'flag' | 'namespace'; name: string; like: readonly LikeName[] },
): BrokerError {
  const others = like.filter((each) => each.name !== name);
  const nearest = nearestSeen({ policy, principal, now_ms }, { operation: 'flag.read', name, like: others });
  const more = 'To freeze a name before it exists, set `yet_unknown`.';
  return unknownName({ what, name, pointer: `#/${what}`, nearest, more });
}
