import type { Revocations } from '../decide/revocations.ts';
import type { Logger } from '../logger.ts';
import type { Policies } from '../policy/active.ts';
import type { Db } from '../store/statement.ts';
import { storedRevocations } from './stored-revocations.ts';

/** Opens the list of revocations. `changed` reads it again after a commit; a failed read is retried later. */
export async function openRevocations(deps: {
  policies: Policies<Db>;
  read: Db;
  log: Logger;
}): Promise<{ revocations: Revocations<Db>; changed: () => void }> {
  const { policies, read, log } = deps;
  const revocations = storedRevocations(policies);
  await revocations.refresh(read);
  return {
    revocations,
    changed: () => {
      revocations
        .refresh(read)
        .catch((error: unknown) => log.error({ err: error }, 'could not read the revocations'));
    },
  };
}
