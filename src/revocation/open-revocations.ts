import type { Revocations } from '../decide/revocations.ts';
import type { Logger } from '../logger.ts';
import type { Policies } from '../policy/active.ts';
import type { Db } from '../store/statement.ts';
import { storedRevocations } from './stored-revocations.ts';

/** Opens what is revoked. `changed` has it read again after a commit; a store that fails then is asked again later. */
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
      revocations.refresh(read).catch((error: unknown) => log.error({ err: error }, 'revocations not read'));
    },
  };
}
