import { foldPerson } from '../person-name.ts';
import { resolvePerson } from '../policy/persons.ts';
import type { Policy } from '../policy/policies.ts';
import type { Principal } from '../principal.ts';
import { listAccountsOf } from '../store/principals.ts';
import { findPseudonymRow, listPseudonymsOf } from '../store/pseudonyms.ts';
import type { PseudonymsTable } from '../store/schema-log.ts';
import type { Db } from '../store/statement.ts';

/** The person to erase, under all their names. */
export interface Subject {
  /** The pseudonym by which requests name the person, so that no request has a name to erase. */
  pseudonym: string;
  /** The names of the human, in canonical form: the one they sign in with, then aliases. */
  persons: readonly string[];
  /** The ids of their accounts. */
  accounts: readonly string[];
  /** All pseudonyms of these names. */
  mappings: readonly PseudonymsTable[];
}

/** The person behind a pseudonym, under a policy; null if it is that of no person, or was erased. */
export async function subjectBehind(db: Db, policy: Policy, pseudonym: string): Promise<Subject | null> {
  const row = await findPseudonymRow(db, pseudonym);
  if (row === undefined || row.kind !== 'person') return null;
  const names = await namesOf(db, policy, row.name);
  return { ...names, pseudonym };
}

/** The person with a name, or one of its aliases; null if no record names them. */
export async function subjectNamed(db: Db, policy: Policy, name: string): Promise<Subject | null> {
  const { mappings, persons, accounts } = await namesOf(db, policy, name);
  const [first] = persons.flatMap((person) =>
    mappings.filter((row) => row.kind === 'person' && row.name === person),
  );
  return first === undefined ? null : { pseudonym: first.pseudonym, persons, accounts, mappings };
}

async function namesOf(db: Db, policy: Policy, name: string): Promise<Omit<Subject, 'pseudonym'>> {
  const person = resolvePerson(policy, name);
  const aliases = [...policy.broker.persons].filter(([, of]) => of === person).map(([alias]) => alias);
  // The store may have a name in a form of an earlier version, or of an earlier policy.
  const persons = [...new Set([person, foldPerson(name), ...aliases])];
  const accounts = await listAccountsOf(db, persons);
  const mappings = [
    ...(await listPseudonymsOf(db, 'person', persons)),
    ...(await listPseudonymsOf(db, 'principal', accounts)),
  ];
  return { persons, accounts, mappings };
}

/** Whether a principal is the person, or acts or was started by them. */
export function isSubject(
  { persons, accounts }: Pick<Subject, 'persons' | 'accounts'>,
  { id, person, started_by = [] }: Pick<Principal, 'id' | 'person' | 'started_by'>,
): boolean {
  const humans = [...started_by, ...(person === null ? [] : [person])];
  return accounts.includes(id) || humans.some((name) => persons.includes(foldPerson(name)));
}

/** The same person with more accounts, and their pseudonyms. */
export async function withAccounts(db: Db, subject: Subject, more: ReadonlySet<string>): Promise<Subject> {
  const accounts = [...new Set([...subject.accounts, ...more])];
  if (accounts.length === subject.accounts.length) return subject;
  const ofPersons = subject.mappings.filter(({ kind }) => kind === 'person');
  return {
    ...subject,
    accounts,
    mappings: [...ofPersons, ...(await listPseudonymsOf(db, 'principal', accounts))],
  };
}
