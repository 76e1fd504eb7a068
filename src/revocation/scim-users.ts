import type { WriteContext } from '../decide/control.ts';
import { Refused } from '../decide/refused.ts';
import { foldPerson } from '../person-name.ts';
import type { Policy } from '../policy/policies.ts';
import { isPrincipalId } from '../principal.ts';
import {
  findProvisionedUser,
  listProvisionedUsers,
  putProvisionedUser,
  removeProvisionedUser,
} from '../store/provisioned-users.ts';
import type { ProvisionedUsersTable } from '../store/schema.ts';
import type { Db } from '../store/statement.ts';
import { subjectUnder } from './of-subject.ts';
import { subjectName } from './order.ts';
import { loadStates, type PersonState, setPersonState } from './provisioning.ts';
import {
  type NameAttribute,
  type PersonNaming,
  ScimFault,
  type UserFilter,
  type WantedUser,
} from './scim-message.ts';

/*
 * The users of the identity provider. A user is created by the provider alone: somebody who has only signed in is no user.
 * The attribute that names the person is read once, when the user is created. From then on the user is that person,
 * whatever the provider calls them later: names that change never prove who somebody is.
 */

/** A user, and who that is. */
export interface User extends ProvisionedUsersTable {
  /** The canonical name of the person under the present policy; the id is that of the policy when they were created. */
  person: string;
  state: PersonState;
}

/** The users whom the provider has created, by id. */
export async function listUsers(db: Db, policy: Policy): Promise<User[]> {
  return (await loadUsers(db, policy)).filter(isLinked);
}

function isLinked({ linked_ms }: User): boolean {
  return linked_ms !== null;
}

async function loadUsers(db: Db, policy: Policy): Promise<User[]> {
  const stateOf = await loadStates(db, policy);
  return (await listProvisionedUsers(db)).map((row) => withPerson(row, policy, stateOf));
}

function withPerson(
  row: ProvisionedUsersTable,
  policy: Policy,
  stateOf: (person: string) => PersonState,
): User {
  const person = subjectUnder(policy, row.id);
  return { ...row, person, state: stateOf(person) };
}

/** The user with exactly this id. @throws ScimFault 404 if there is none, or no longer */
export async function findUser(db: Db, policy: Policy, id: string): Promise<User> {
  const row = await findProvisionedUser(db, id);
  if (row === undefined) throw new ScimFault(404, 'No user has this id. Create the user with POST /Users.');
  return withPerson(row, policy, await loadStates(db, policy));
}

/** The names of a user, as the provider gave them; otherwise that of the person. */
export function namesOf(user: User, { prefix }: PersonNaming): Record<NameAttribute, string> {
  const { person, user_name, external_id } = user;
  const name = person.startsWith(prefix) ? person.slice(prefix.length) : person;
  return { userName: user_name ?? name, externalId: external_id ?? name };
}

/** Whether a filter selects a user. The same rule says which users make a POST conflict. */
export function isSelected(
  user: User,
  { attribute, value }: UserFilter,
  { policy, naming }: { policy: Policy; naming: PersonNaming },
): boolean {
  if (attribute === 'id') return user.id === value;
  const names = namesOf(user, naming);
  // RFC 7643 section 4.1.1: userName is unique, and its case does not count.
  const isSame = attribute === 'userName' && foldPerson(names.userName) === foldPerson(value);
  if (attribute === naming.attribute) return isSame || personCalled(policy, naming, value) === user.person;
  return isSame || (attribute === 'externalId' && names.externalId === value);
}

/**
 * The person whom the attribute of the configuration names.
 *
 * @throws ScimFault for an account, a workload or an agent: a provider may only manage humans
 * @throws BrokerError `invalid_request` for a value that is not the name of a person
 */
function personNamed(policy: Policy, { prefix }: PersonNaming, value: string): string {
  const name = `${prefix}${value}`;
  if (isPrincipalId(name)) throw new ScimFault(400, 'This is not the name of a person.', 'invalidValue');
  return subjectName(policy, name);
}

function personCalled(policy: Policy, naming: PersonNaming, value: string): string | null {
  try {
    return personNamed(policy, naming, value);
  } catch {
    return null;
  }
}

/**
 * Creates a user for the person whom the message names, whether or not that person has signed in. Somebody who was disabled
 * is enabled only if the message says `active: true`.
 *
 * @throws ScimFault for a faulty message, and 409 if the person or the name has a user
 */
export async function createUser(
  writing: WriteContext,
  wanted: WantedUser,
  naming: PersonNaming,
): Promise<User | Refused> {
  const { tx, policy, now_ms } = writing;
  if (wanted.fault !== null) throw wanted.fault;
  const name = wanted.names[naming.attribute];
  if (name === undefined || name === null) {
    throw new ScimFault(400, `${naming.attribute} is missing.`, 'invalidValue');
  }
  const person = personNamed(policy, naming, name);
  const users = await loadUsers(tx, policy);
  assertUnique(users, wanted.names, { policy, naming });
  // A provider may know the id from a former version.
  const id = users.find((user) => user.person === person)?.id ?? person;
  const present = (await loadStates(tx, policy))(person);
  const active = wanted.active ?? present === 'active';
  const state = await setPersonState(writing, person, active ? 'active' : 'disabled');
  if (state instanceof Refused) return state;
  const { userName = null, externalId = null } = wanted.names;
  const row = { id, user_name: userName, external_id: externalId, linked_ms: now_ms };
  await putProvisionedUser(tx, row);
  return { ...row, person, state };
}

/** @throws ScimFault 409 if one of the names selects another user */
function assertUnique(
  users: readonly User[],
  names: WantedUser['names'],
  { policy, naming }: { policy: Policy; naming: PersonNaming },
): void {
  for (const attribute of new Set<NameAttribute>([naming.attribute, 'userName'])) {
    const value = names[attribute];
    if (value === undefined || value === null) continue;
    const taken = users.find(
      (user) => isLinked(user) && isSelected(user, { attribute, value }, { policy, naming }),
    );
    if (taken !== undefined) {
      throw new ScimFault(
        409,
        `A user with this ${attribute} exists; update that user instead.`,
        'uniqueness',
      );
    }
  }
}

/** A changed user, and the fault of a message of which only the deactivation was carried out. */
export interface ChangedUser {
  user: User;
  fault: ScimFault | null;
}

/**
 * Changes a user. A message that disables the user does so even if another part of it is faulty: a deviation from RFC 7644
 * section 3.5.2, which the record names. Otherwise one attribute that nobody needs would keep somebody in.
 *
 * @throws ScimFault 404 for an unknown id; the fault of a message that does not disable the user
 */
export async function changeUser(
  writing: WriteContext,
  { id, wanted, naming }: { id: string; wanted: WantedUser; naming: PersonNaming },
): Promise<ChangedUser | Refused> {
  const { tx, policy } = writing;
  const former = await findUser(tx, policy, id);
  const fault = wanted.fault ?? (await findConflict(writing, { former, wanted, naming }));
  if (fault !== null && wanted.active !== false) throw fault;
  const renamed = fault === null ? withNames(former, wanted.names) : former;
  const isRenamed = renamed.user_name !== former.user_name || renamed.external_id !== former.external_id;
  if (wanted.active === undefined && !isRenamed) return { user: former, fault };
  const asked = wanted.active === undefined ? former.state : wanted.active ? 'active' : 'disabled';
  const remark = fault === null ? (isRenamed ? ', renamed' : '') : DEVIATION;
  const state = await setPersonState(writing, id, asked, remark);
  if (state instanceof Refused) return state;
  if (isRenamed) {
    const { user_name, external_id, linked_ms } = renamed;
    await putProvisionedUser(tx, { id, user_name, external_id, linked_ms });
  }
  return { user: { ...renamed, state }, fault };
}

const DEVIATION =
  ', although another part of the message was refused (a deviation from RFC 7644 section 3.5.2)';

function withNames(
  user: User,
  { userName = user.user_name, externalId = user.external_id }: WantedUser['names'],
): User {
  return { ...user, user_name: userName, external_id: externalId };
}

/** What is wrong with the new names, or null. */
async function findConflict(
  { tx, policy }: WriteContext,
  { former, wanted, naming }: { former: User; wanted: WantedUser; naming: PersonNaming },
): Promise<ScimFault | null> {
  const { userName } = wanted.names;
  const named = wanted.names[naming.attribute];
  if (wanted.active === true && former.state !== 'active' && typeof named === 'string') {
    if (personCalled(policy, naming, named) !== former.person) {
      return new ScimFault(
        400,
        `This user is ${former.person}, and the message enables somebody else. Send active alone, or delete this user and create another.`,
        'mutability',
      );
    }
  }
  if (typeof userName !== 'string' || foldPerson(userName) === foldPerson(former.user_name ?? ''))
    return null;
  const others = (await listUsers(tx, policy)).filter(({ id }) => id !== former.id);
  const isTaken = others.some((user) => foldPerson(namesOf(user, naming).userName) === foldPerson(userName));
  return isTaken ? new ScimFault(409, 'Another user has this userName.', 'uniqueness') : null;
}

/** Deletes a user: the person is disabled, and may be created again. @throws ScimFault 404 for an unknown id */
export async function deleteUser(writing: WriteContext, id: string): Promise<PersonState | Refused> {
  const { tx, policy } = writing;
  await findUser(tx, policy, id);
  const state = await setPersonState(writing, id, 'deleted');
  if (!(state instanceof Refused)) await removeProvisionedUser(tx, id);
  return state;
}
