import type { FormerLog } from '../log/entry.ts';
import { findHeadFault } from '../log/self-check.ts';
import { operatorPrincipal } from '../principal.ts';
import { acceptClock, batchOf, clockFault, momentOf } from '../store/batch.ts';
import { replaceAcknowledged } from '../store/database.ts';
import { closeSessionsAfter, insertFreeze } from '../store/emergency.ts';
import { makeAllDue, voidOpenVotes } from '../store/requests.ts';
import { insertRevocation } from '../store/revocations.ts';
import { endBrowserSessionsAfter } from '../store/sessions.ts';
import { endAllSigningKeys } from '../store/signing-keys.ts';
import type { Tx } from '../store/statement.ts';
import type { Loss } from '../store/store.ts';
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
 * @param order.published what it lacks of the log where that is published, which nothing beside the database may show
 * @throws ActRefused if the database is the one that was acknowledged, or its log does not fit itself
 * @throws BrokerError `not_recorded`
 */
export async function acceptRestore(
  { store, clock, newId }: ActDeps,
  order: { reason: string; published: Omit<Loss, 'mark'> | null },
): Promise<AcceptedRestore> {
  const loss = lossOf(store.loss, order.published);
  const altered = await findHeadFault(store.read);
  if (altered !== null)
    throw new ActRefused(`${altered} No restore makes that good; put a backup in its place.`);
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
      ...followed(loss),
    });
    return { decision_id, freeze, epoch: batchOf(tx).head.epoch, at_ms };
  });
}

/** What the database lacks of all that is known. */
function lossOf(known: Loss | null, published: Omit<Loss, 'mark'> | null): Loss | null {
  if (published === null) return known;
  if (known === null) return { ...published, mark: null };
  const signed = [known.signed, published.signed]
    .filter((checkpoint) => checkpoint !== null)
    .toSorted((a, b) => b.epoch - a.epoch || b.size - a.size)[0];
  return { ...known, signed: signed ?? null };
}

/** The highest known state of the log that the copy takes the place of: of a checkpoint, if one is as high as the mark. */
function followed({ mark, signed }: Loss): { follows?: FormerLog } {
  if (signed !== null && (mark === null || mark.epoch <= signed.epoch)) {
    const { epoch, size, root, note } = signed;
    return { follows: { epoch, origin: note.split('\n', 1)[0] ?? null, size, root } };
  }
  return mark === null ? {} : { follows: { epoch: mark.epoch, origin: null, size: mark.size, root: null } };
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
