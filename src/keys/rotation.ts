import { authorize } from '../decide/authorize.ts';
import type { Call, ControlDeps, WriteContext } from '../decide/control.ts';
import { Refused } from '../decide/refused.ts';
import { write } from '../decide/write.ts';
import { schedulerPrincipal } from '../principal.ts';
import type { Store } from '../store/database.ts';
import type { SigningKeysTable } from '../store/schema.ts';
import {
  endSigningKey,
  insertFirstSigningKey,
  listSigningKeys,
  replaceSigningKeys,
} from '../store/signing-keys.ts';
import type { Db } from '../store/statement.ts';
import { activeKey, type KeyStore, RETIREMENT_OVERLAP_MS, type StoredKey } from './signing-keys.ts';

/** The signing keys of the store, as identity reads them. */
export function storedSigningKeys({ writer, read }: Store): KeyStore {
  return {
    list: async () => (await listSigningKeys(read)) as StoredKey[],
    insertFirst: (key) => writer.write((tx) => insertFirstSigningKey(tx, key)),
  };
}

/*
 * Changes of the broker's signing keys. Making a key takes time, so it is made before the transaction, by
 * `SigningKeys.prepare`; one that is then not stored was never anybody's.
 */

/**
 * Decides a rotation and carries it out: decision, record, new key and retirement of the former ones are one write.
 *
 * @returns the new key's id, or the refusal
 */
export async function rotateKey(
  writing: WriteContext,
  fresh: SigningKeysTable,
): Promise<{ kid: string } | Refused> {
  const authorized = await authorize(writing, { operation: 'key.rotate' });
  if (authorized instanceof Refused) return authorized;
  await replaceSigningKeys(writing.tx, fresh, writing.now_ms + RETIREMENT_OVERLAP_MS);
  writing.afterCommit(writing.deps.events.keysChanged);
  return { kid: fresh.kid };
}

/**
 * Ends a key at once, in the write of the decision that revokes it. From the commit on this broker neither signs with it
 * nor accepts it, and does not publish it; `fresh` takes its place if it was the active one.
 *
 * @returns `unknown` when there is no such key or it had ended before, else whether `fresh` was taken
 */
export async function revokeKey(
  writing: WriteContext,
  kid: string,
  fresh: SigningKeysTable,
): Promise<'unknown' | 'ended' | 'replaced'> {
  const result = await endSigningKey(writing.tx, kid, { fresh, nowMs: writing.now_ms });
  if (result !== 'unknown') writing.afterCommit(writing.deps.events.keysChanged);
  return result;
}

/** When the active key signs no more under its schedule; null when the schedule has no end for it. */
async function rotationDueMs(db: Db, maxAgeMs: number): Promise<number | null> {
  const active = activeKey(await listSigningKeys(db));
  return active === undefined || maxAgeMs === 0 ? null : active.created_ms + maxAgeMs;
}

/**
 * Rotates the active key if it is older than it may be, as the scheduler. Whether it is due is asked again inside the
 * write, so that of several brokers one rotates.
 *
 * @param schedule.maxAgeMs 0 for never
 * @returns the new key's id, or null when none was due
 * @throws BrokerError when policy refuses it, which is recorded, or it could not be recorded
 */
export async function rotateDueKey(
  control: ControlDeps,
  schedule: { maxAgeMs: number; prepare: () => Promise<SigningKeysTable> },
): Promise<string | null> {
  const isDue = async (db: Db, nowMs: number) => {
    const dueMs = await rotationDueMs(db, schedule.maxAgeMs);
    return dueMs !== null && nowMs >= dueMs;
  };
  if (!(await isDue(control.store.read, control.clock()))) return null;
  const fresh = await schedule.prepare();
  const call: Call = { principal: schedulerPrincipal, credential: null, http_request_id: null };
  return write(control, call, async (writing) => {
    if (!(await isDue(writing.tx, writing.now_ms))) return null;
    const rotated = await rotateKey(writing, fresh);
    return rotated instanceof Refused ? rotated : rotated.kid;
  });
}
