import type { Named } from '../decide/control.ts';
import { namedEnvironment, namedFlag } from '../decide/names.ts';
import type { Change } from '../flags/changes.ts';
import type { Policy } from '../policy/policies.ts';
import type { Db } from '../store/statement.ts';

/**
 * The environment and the existing flags that changes name. A flag that does not exist is answered like one that the caller
 * may not read. New flags are judged by the policy alone; see `propose.ts` for keys that are taken.
 */
export async function namedByChanges(
  db: Db,
  { environment, changes }: { environment: string; changes: readonly Change[] },
  policy: Policy,
): Promise<Named[]> {
  const created = new Set<string>();
  const named: Named[] = namedEnvironment(policy, environment);
  for (const [place, { action, flag }] of changes.entries()) {
    if (action === 'create') created.add(flag);
    else if (!created.has(flag)) {
      const pointer = `#/changes/${place}/flag`;
      named.push(await namedFlag(db, flag, { environment, pointer, more: 'Nothing was written.' }));
    }
  }
  return named;
}
