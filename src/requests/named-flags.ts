import type { Named } from '../decide/control.ts';
import { creatingRequests, describeCreating } from '../decide/creating.ts';
import { BrokerError } from '../errors.ts';
import type { Change } from '../flags/changes.ts';
import { findDefinition } from '../store/flags.ts';
import type { Db } from '../store/statement.ts';

/**
 * The existing flags that changes name. One that does not exist is answered like one that the caller may not read. New
 * flags are judged by the policy alone; see `propose.ts` for keys that are taken.
 */
export async function namedByChanges(
  db: Db,
  { environment, changes }: { environment: string; changes: readonly Change[] },
): Promise<Named[]> {
  const created = new Set<string>();
  const named: Named[] = [];
  for (const [place, change] of changes.entries()) {
    if (change.action === 'create') created.add(change.flag);
    else if (!created.has(change.flag)) {
      const found = await findDefinition(db, change.flag);
      named.push({
        operation: 'flag.read',
        environment,
        places: found === undefined ? null : [{ namespace: found.namespace, environment }],
        ...(found === undefined && { pending: await creatingRequests(db, change.flag) }),
        missing: notFound(`#/changes/${place}/flag`),
      });
    }
  }
  return named;
}

function notFound(pointer: string): Named['missing'] {
  return (request) => {
    const detail = `No flag that you may read has this key.${describeCreating(request)}`;
    return new BrokerError('not_found', `${detail} Nothing was written.`, { errors: [{ pointer, detail }] });
  };
}
