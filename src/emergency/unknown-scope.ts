import { closestMatch } from 'leven';
import { questionOf } from '../decide/authorize.ts';
import { environmentsOf, type WriteContext } from '../decide/control.ts';
import { BrokerError } from '../errors.ts';
import type { FreezeScope } from '../policy/input.ts';
import { findDefinition, listFlagNames } from '../store/flags.ts';

/**
 * Checks that a scope names a flag or a namespace that exists. A freeze of a misspelt name would freeze nothing, and say that it holds.
 *
 * @returns the fault, with the nearest name that the caller may read; null if everything exists
 */
export async function faultOfScope(writing: WriteContext, scope: FreezeScope): Promise<BrokerError | null> {
  const { tx } = writing;
  const { namespace, flag } = scope;
  if (flag !== null && (await findDefinition(tx, flag)) === undefined) {
    const readable = (await namesLike(writing, flag)).map(({ key }) => key);
    return unknown('flag', flag, readable, true);
  }
  if (namespace === null) return null;
  const present = await listFlagNames(tx, { namespace, limit: 1 });
  if (present.length > 0) return null;
  const readable = (await namesLike(writing, null)).map((name) => name.namespace);
  return unknown('namespace', namespace, [...new Set(readable)], true);
}

/**
 * Checks that an environment exists. No role covers an unknown one, so the policy would only deny.
 *
 * @throws BrokerError `invalid_request` to a caller who may read flags in some environment; others are left to the policy
 */
export function assertEnvironment({ policy, call, now_ms }: WriteContext, environment: string | null): void {
  const environments = environmentsOf(policy);
  if (environment === null || environments.includes(environment)) return;
  const readable = environments.filter((key) => {
    const question = questionOf(policy, call.principal, { operation: 'flag.read', environment: key });
    return policy.decide(question, now_ms).effect === 'allow';
  });
  if (readable.length > 0) throw unknown('environment', environment, readable);
}

/** The most names that are compared. */
const MAX_COMPARED = 5000;

/** The names that the caller may read; for a flag, those of about its length. */
async function namesLike(
  { tx, policy, call, now_ms }: WriteContext,
  flag: string | null,
): Promise<{ key: string; namespace: string }[]> {
  const names = await listFlagNames(tx, {
    ...(flag === null ? {} : { length: flag.length }),
    limit: MAX_COMPARED,
  });
  const mayRead = new Map<string, boolean>();
  return names.filter(({ namespace }) => {
    const known = mayRead.get(namespace);
    if (known !== undefined) return known;
    const question = questionOf(policy, call.principal, { operation: 'flag.read', namespace });
    const readable = policy.decide(question, now_ms).effect === 'allow';
    mayRead.set(namespace, readable);
    return readable;
  });
}

function unknown(
  what: 'environment' | 'flag' | 'namespace',
  name: string,
  known: readonly string[],
  mayComeLater = false,
): BrokerError {
  const nearest = closestMatch(name, [...known], { maxDistance: Math.max(2, Math.floor(name.length / 2)) });
  const hint = nearest === undefined ? '' : ` Did you mean "${nearest}"?`;
  const later = mayComeLater ? ' To freeze a name before it exists, set `yet_unknown`.' : '';
  return new BrokerError('invalid_request', `Unknown ${what} "${name}".${hint}${later}`, {
    errors: [
      {
        pointer: `#/${what}`,
        detail: `no ${what} has this name${nearest === undefined ? '' : `; did you mean ${nearest}?`}`,
      },
    ],
  });
}
