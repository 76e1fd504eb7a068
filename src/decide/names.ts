import type { BrokerError } from '../errors.ts';
import type { Operation } from '../operations.ts';
import { foldPerson } from '../person-name.ts';
import type { Policy } from '../policy/policies.ts';
import { ownPrincipals, type Principal } from '../principal.ts';
import { findDefinition, listFlagNames, listNamespaces } from '../store/flags.ts';
import { listPrincipals } from '../store/principals.ts';
import type { Db } from '../store/statement.ts';
import { nearestOf, type UnknownName, unknownName } from '../unknown-name.ts';
import { questionOf } from './authorize.ts';
import {
  type Call,
  type ControlDeps,
  environmentsOf,
  knowsEnvironment,
  type LikeName,
  type Named,
  type Place,
} from './control.ts';
import { creatingRequests } from './creating.ts';

/*
 * Names that a call writes: the environments, namespaces and flags that there are, and which of them a caller may be told.
 * `seen.ts` asserts what a call names; this file knows what names are like it.
 */

/** Who names something, under which policy, and the state in which it is looked up. */
export interface Asking {
  db: Db;
  policy: Policy;
  principal: Principal;
  now_ms: number;
}

/** A caller who reads committed state. */
export async function askingOf(
  { store, policies, clock }: Pick<ControlDeps, 'store' | 'policies' | 'clock'>,
  { principal }: Pick<Call, 'principal'>,
): Promise<Asking> {
  return { db: store.read, policy: await policies.active(store.read), principal, now_ms: clock() };
}

/** Of these names the nearest one that the caller may see; undefined if none is near. */
export function nearestSeen(
  { policy, principal, now_ms }: Omit<Asking, 'db'>,
  { operation, name, like }: { operation: Operation; name: string; like: readonly LikeName[] },
): string | undefined {
  const known = new Map<string, boolean>();
  const mayRead = (place: Place): boolean => {
    const key = JSON.stringify([place.environment, place.namespace]);
    const found = known.get(key);
    if (found !== undefined) return found;
    const readable =
      policy.decide(questionOf(policy, principal, { operation, ...place }), now_ms).effect === 'allow';
    known.set(key, readable);
    return readable;
  };
  const seen = like.filter(({ places }) => places.every(mayRead)).map((each) => each.name);
  return nearestOf(name, [...new Set(seen)]);
}

/** The environments of the policy. */
function environmentsLike(policy: Policy): LikeName[] {
  return environmentsOf(policy).map((name) => ({ name, places: [{ environment: name, namespace: null }] }));
}

/**
 * Checks that an environment exists. No role covers an unknown one, so the policy would only deny, and a list be empty.
 *
 * @param where.operation the read that shows environments to the caller
 * @throws BrokerError `not_found` to a caller who may so read in some environment; others are left to the policy
 */
export function assertEnvironment(
  asking: Omit<Asking, 'db'>,
  environment: string | null | undefined,
  { operation = 'flag.read', pointer = '#/environment' }: { operation?: Operation; pointer?: string } = {},
): void {
  const { policy, principal, now_ms } = asking;
  if (environment === undefined || knowsEnvironment(policy, environment) || environment === null) return;
  const mayReadSome = environmentsOf(policy).some(
    (key) =>
      policy.decide(questionOf(policy, principal, { operation, environment: key }), now_ms).effect ===
      'allow',
  );
  if (!mayReadSome) return;
  const nearest = nearestSeen(asking, { operation, name: environment, like: environmentsLike(policy) });
  throw unknownName({ what: 'environment', name: environment, pointer, nearest });
}

/** The environment that a content names; nothing if it exists, because the policy then decides about it. */
export function namedEnvironment(policy: Policy, environment: string): Named[] {
  if (knowsEnvironment(policy, environment)) return [];
  return [
    {
      operation: 'flag.read',
      environment,
      places: null,
      unknown: { what: 'environment', name: environment, pointer: '#/environment' },
      like: async () => environmentsLike(policy),
    },
  ];
}

/** The most names that are compared. */
const MAX_COMPARED = 5000;

/**
 * A flag that a call names.
 *
 * @param at.environment the environment that the call states
 */
export async function namedFlag(
  db: Db,
  key: string,
  { environment, ...about }: { environment: string | null } & Pick<UnknownName, 'pointer' | 'more'>,
): Promise<Named> {
  const found = await findDefinition(db, key);
  return {
    operation: 'flag.read',
    environment,
    places: found === undefined ? null : [{ namespace: found.namespace, environment }],
    ...(found === undefined && { pending: await creatingRequests(db, key) }),
    unknown: { what: 'flag', name: key, ...about },
    like: () => flagsLike(db, key),
  };
}

/** The flags with a key like this one. */
export async function flagsLike(db: Db, key: string): Promise<LikeName[]> {
  const names = await listFlagNames(db, { like: key, limit: MAX_COMPARED });
  return names.map(({ key: name, namespace }) => ({ name, places: [{ environment: null, namespace }] }));
}

/**
 * A namespace that a call names. It exists once a flag is in it, or a binding of the policy names it.
 *
 * @param at.environment the environment that the call states
 */
export async function namedNamespace(
  db: Db,
  policy: Policy,
  {
    namespace,
    environment,
    ...about
  }: { namespace: string; environment: string | null } & Pick<UnknownName, 'pointer'>,
): Promise<Named> {
  const present = await listFlagNames(db, { namespace, limit: 1 });
  const exists = present.length > 0 || boundNamespaces(policy).includes(namespace);
  return {
    operation: 'flag.read',
    environment,
    places: exists ? [{ environment, namespace }] : null,
    unknown: { what: 'namespace', name: namespace, ...about },
    like: () => namespacesLike(db, policy),
  };
}

/** The namespaces that there are. */
export async function namespacesLike(db: Db, policy: Policy): Promise<LikeName[]> {
  const names = new Set([...(await listNamespaces(db)), ...boundNamespaces(policy)]);
  return [...names].map((name) => ({ name, places: [{ environment: null, namespace: name }] }));
}

/** The namespaces that bindings of the policy name; none if it does not tell its bindings. */
function boundNamespaces(policy: Policy): string[] {
  const bindings = policy.access([])?.bindings ?? [];
  return bindings.flatMap(({ namespaces }) => namespaces).filter((name) => name !== '*');
}

/** The answer to a name that no known principal has; only for who may know all of them. */
export function unknownPrincipal(
  name: string,
  known: readonly { id: string; person: string | null }[],
  pointer: string,
): BrokerError {
  const names = known.flatMap(({ id, person }) => (person === null ? [id] : [id, person]));
  const more = 'GET /v1/access lists who is known.';
  return unknownName({ what: 'principal', name, pointer, nearest: nearestOf(name, names), more });
}

/**
 * Checks that a name is the id of a known principal, or of the broker's own, or a known person.
 *
 * @throws BrokerError `not_found`
 */
export async function assertPrincipal(db: Db, name: string, pointer: string): Promise<void> {
  const known = [...(await listPrincipals(db)), ...ownPrincipals];
  const person = foldPerson(name);
  const isNamed = known.some(
    (each) => each.id === name || (each.person !== null && foldPerson(each.person) === person),
  );
  if (!isNamed) throw unknownPrincipal(name, known, pointer);
}
