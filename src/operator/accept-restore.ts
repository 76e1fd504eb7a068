import { operatorPrincipal } from '../principal.ts';
import { acceptClock, batchOf, clockFault, momentOf } from '../store/batch.ts';
import { replaceAcknowledged } from '../store/database.ts';
import { closeSessionsAfter, insertFreeze } from '../store/emergency.ts';
import { makeAllDue, voidOpenVotes } from '../store/requests.ts';
import { insertRevocation } from '../store/revocations.ts';
import { endBrowserSessionsAfter } from '../store/sessions.ts';
import { endAllSigningKeys } from '../store/signing-keys.ts';
import type { Tx } from '../store/statement.ts';
import { type ActDeps, ActRefused, recordAct } from './act.ts';

/** An accepted restore. */
export interface AcceptedRestore {
  /** The id of its record. */
  decision_id: string;
  /** The freeze of all writes, which two persons lift by a change request. */
  freeze: string;
  /** The new epoch of the log. */
  epoch: number;
  at_ms: number;
}

/** Before every moment. */
const EVER_MS = -1;

/**
 * Confirms that a restored copy takes the place of the database that was acknowledged. What was decided since the copy is
 * unknown: freezes and revocations may be missing. So everything is frozen, and nothing that gave access before does any
 * more: credentials, browser and break-glass sessions, approvals of open requests, and the signing keys, one of which may
 * have been revoked since.
 *
 * @throws ActRefused if the database is the one that was acknowledged
 * @throws BrokerError `not_recorded`
 */
export function acceptRestore(
  { store, clock, newId }: ActDeps,
  order: { reason: string },
): Promise<AcceptedRestore> {
  const { loss } = store;
  return store.writer.write(async (tx) => {
    if (loss === null)
      throw new ActRefused(
        'The database has everything that was acknowledged, so there is nothing to accept.',
      );
    // Two acts that wait for each other would block the database for ever.
    const at_ms = clockFault(batchOf(tx).head, clock()) === null ? momentOf(tx) : acceptClock(tx);
    await replaceAcknowledged(tx, loss);
    const freeze = newId(at_ms);
    const decision_id = newId(at_ms);
    await freezeEverything(tx, { id: freeze, at_ms, reason: order.reason });
    await voidCredentials(tx, { id: newId(at_ms), at_ms, reason: order.reason });
    await makeAllDue(tx, at_ms);
    await recordAct(tx, {
      id: decision_id,
      at_ms,
      operation: 'restore.accept',
      because: { code: 'restore_accepted', detail: `An operator accepted a restored copy. ${loss.detail}` },
      note: { code: 'restore_accepted', detail: order.reason },
      freeze: { change: 'engaged', id: freeze, ...EVERYTHING },
    });
    return { decision_id, freeze, epoch: batchOf(tx).head.epoch, at_ms };
  });
}

const EVERYTHING = { scope: 'all', environment: null, namespace: null, flag: null } as const;
const INCIDENT = 'restored-copy';
const BY = JSON.stringify({ id: operatorPrincipal.id, person: null });

interface Row {
  id: string;
  at_ms: number;
  reason: string;
}

function freezeEverything(tx: Tx, { id, at_ms, reason }: Row): Promise<void> {
  return insertFreeze(tx, {
    id,
    ...EVERYTHING,
    incident: INCIDENT,
    reason,
    engaged_by: BY,
    engaged_ms: at_ms,
    lifted_ms: null,
    lifted_by_request: null,
  });
}

async function voidCredentials(tx: Tx, { id, at_ms, reason }: Row): Promise<void> {
  await insertRevocation(tx, {
    id,
    kind: 'class',
    value: 'all',
    issued_before_ms: at_ms,
    cause: 'incident',
    incident: INCIDENT,
    reason,
    created_by: BY,
    created_ms: at_ms,
    expires_ms: null,
    lifted_ms: null,
    lifted_by: null,
    person: null,
    returned_ms: null,
    person_state: null,
  });
  await endAllSigningKeys(tx, at_ms);
  await endBrowserSessionsAfter(tx, at_ms, EVER_MS);
  await closeSessionsAfter(tx, at_ms, EVER_MS);
  await voidOpenVotes(tx, at_ms);
}
