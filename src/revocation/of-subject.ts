import { resolvePerson } from '../policy/persons.ts';
import type { Policy } from '../policy/policies.ts';
import { isPrincipalId } from '../principal.ts';
import { listActiveOfSubjects } from '../store/revocations.ts';
import type { RevocationsTable } from '../store/schema.ts';
import type { Db } from '../store/statement.ts';

/** What a subject is called under a policy, whatever it was called when it was revoked. */
export function subjectUnder(policy: Policy, subject: string): string {
  return isPrincipalId(subject) ? subject : resolvePerson(policy, subject);
}

/** The revocations of one subject that hold and came by one road, also those that name it as a former policy did. */
export async function listOfSubject(
  db: Db,
  policy: Policy,
  { value, cause }: Pick<RevocationsTable, 'value' | 'cause'>,
): Promise<RevocationsTable[]> {
  return (await listActiveOfSubjects(db, cause)).filter((row) => subjectUnder(policy, row.value) === value);
}
