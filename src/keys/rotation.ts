import { z } from 'zod';
import { authorize } from '../decide/authorize.ts';
import type { Call, ControlDeps, WriteContext } from '../decide/control.ts';
import { Refused } from '../decide/refused.ts';
import { write } from '../decide/write.ts';
import { schedulerPrincipal } from '../principal.ts';
import type { SigningKeysTable } from '../store/schema.ts';
import {
  endSigningKey,
  insertFirstSigningKey,
  listSigningKeys,
  replaceSigningKeys,
} from '../store/signing-keys.ts';
import type { Db } from '../store/statement.ts';
import type { Store } from '../store/store.ts';
import { activeKey, type KeyStore, RETIREMENT_OVERLAP_MS, type StoredKey } from './signing-keys.ts';

/** The signing keys of the store, for identity. */
export function storedSigningKeys({ writer, read }: Store): KeyStore {
  return {
    list: async () => (await listSigningKeys(read)) as StoredKey[],
    insertFirst: (key) => writer.write((tx) => insertFirstSigningKey(tx, key)),
  };
}

/*
 * Changes of the broker's signing keys. Generating a key takes time, so `SigningKeys.prepare` does it before the
 * transaction. A key that is then not stored was never in use.
 */

/** The answer to a rotation. */
export const rotationSchema = z
  .object({ kid: z.string().meta({ description: 'The new key.' }) })
  .meta({ id: 'KeyRotation' });

/**
 * Decides a rotation and performs it: the decision, its record, the new key and the retirement of the previous keys are
 * one write.
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
 * Retires a key immediately, in the write of the decision that revokes it. From the commit on, this broker neither
 * signs with it, accepts it nor publishes it. `fresh` replaces it if it was the active key.
 *
 * @returns `unknown` when the key does not exist or has already retired, otherwise whether `fresh` replaced it
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

/** When the active key is due for rotation; null without a schedule. */
async function rotationDueMs(db: Db, maxAgeMs: number): Promise<number | null> {
  const active = activeKey(await listSigningKeys(db));
  return active === undefined || maxAgeMs === 0 ? null : active.created_ms + maxAgeMs;
}

/**
 * Rotates the active key if it is due, as the scheduler. The write checks again whether it is due, so that only one of
 * several brokers rotates.
 *
 * @param schedule.maxAgeMs 0 for never
 * @returns the new key's id, or null when none was due
 * @throws BrokerError when policy refuses it, which is recorded, or when it cannot be recorded
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
