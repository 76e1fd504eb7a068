import type { ControlDeps } from '../decide/control.ts';
import { isPrincipalId, subjectName } from './order.ts';
import { listPersons, type PersonState, stateOfPerson } from './provisioning.ts';
import { type PersonNaming, parseFilter, ScimFault, USER_SCHEMA } from './scim-message.ts';
import type { ScimUser } from './scim-schemas.ts';

/** The base path of the SCIM service. */
export const BASE = '/scim/v2';

/** The dependencies of looking up SCIM users. */
export interface UserDeps {
  control: ControlDeps;
  naming: PersonNaming;
  /** The broker's public URL. */
  issuer: string;
}

/** A person who is known here or disabled by a provider. */
export interface KnownPerson {
  person: string;
  state: PersonState;
}

/** All known persons, including deleted ones. */
export async function listKnown({ control }: UserDeps): Promise<KnownPerson[]> {
  const { read } = control.store;
  return listPersons(read, await control.policies.active(read));
}

/** The persons whom a filter selects. @throws ScimFault for an unsupported filter */
export async function findKnown(
  deps: UserDeps,
  text: string,
  known: readonly KnownPerson[],
): Promise<KnownPerson[]> {
  const { attribute, value } = parseFilter(text);
  const name = attribute === 'id' ? value : `${deps.naming.prefix}${value}`;
  const person = await personOf(deps, name).catch(() => null);
  return known.filter((user) => user.person === person);
}

/**
 * The person with this name.
 *
 * @throws ScimFault for an account, a workload or an agent: a provider may only manage humans
 * @throws BrokerError `invalid_request` for a value that is not the name of a person
 */
export async function personOf({ control }: UserDeps, name: string): Promise<string> {
  if (isPrincipalId(name)) throw new ScimFault(400, 'This is not the name of a person.', 'invalidValue');
  return subjectName(await control.policies.active(control.store.read), name);
}

/**
 * The person whose id the path names.
 *
 * @throws ScimFault 404 for an invalid name, and for a person whom the provider has deleted
 */
export async function personOfId(deps: UserDeps, id: string): Promise<string> {
  const person = await personOf(deps, id).catch(() => null);
  if (person !== id || (await stateOf(deps, id)) === 'deleted') {
    throw new ScimFault(404, 'No user has this id.');
  }
  return person;
}

/** A person's state. */
export async function stateOf({ control }: UserDeps, person: string): Promise<PersonState> {
  const { read } = control.store;
  return stateOfPerson(read, await control.policies.active(read), person);
}

/** A person as a SCIM user. */
export function toUser({ naming, issuer }: UserDeps, { person, state }: KnownPerson): ScimUser {
  const name = person.startsWith(naming.prefix) ? person.slice(naming.prefix.length) : person;
  return {
    schemas: [USER_SCHEMA],
    id: person,
    externalId: name,
    userName: name,
    active: state === 'active',
    meta: { resourceType: 'User', location: `${issuer}${BASE}/Users/${encodeURIComponent(person)}` },
  };
}
