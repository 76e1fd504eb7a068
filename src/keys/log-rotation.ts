import { z } from 'zod';
import { authorize } from '../decide/authorize.ts';
import type { WriteContext } from '../decide/control.ts';
import { Refused } from '../decide/refused.ts';
import { BrokerError } from '../errors.ts';
import { DAY_MS } from '../moment.ts';
import { batchOf } from '../store/batch.ts';
import { insertNextLogKey } from '../store/log-keys.ts';
import type { NextLogKey } from './log-key.ts';

/*
 * The handover of the log to a new key: one write with the decision, its record, which commits the new key, and the key.
 */

/** What a rotation of the log's key is asked. */
export const logKeyOrderSchema = z
  .strictObject({
    overlap_days: z.int().min(0).max(365).default(30).meta({
      description:
        'For how many days the former key signs, too, so that whoever knows only that one can still verify. 0 if it may be known to others.',
    }),
  })
  .meta({ id: 'LogKeyOrder' });
export type LogKeyOrder = z.infer<typeof logKeyOrderSchema>;

/** The answer to a rotation of the log's key. */
export const logKeyRotationSchema = z
  .object({
    key: z.string().meta({ description: 'The new key.' }),
    former: z.string().meta({ description: 'The key before it.' }),
    place: z.int().meta({ description: 'The place of the record that commits the new key.' }),
    retires_ms: z.int().meta({ description: 'Until when the former key signs, too.' }),
  })
  .meta({ id: 'LogKeyRotation' });
export type LogKeyRotation = z.infer<typeof logKeyRotationSchema>;

/**
 * Decides a rotation of the log's key and performs it. From its record on, every checkpoint is signed by the new key, and
 * during the overlap by the former one, too.
 *
 * @throws BrokerError `state_conflict` if the log was handed over since the key was prepared
 */
export async function rotateLogKey(
  writing: WriteContext,
  { next: { row, handover }, overlap_days }: { next: NextLogKey } & LogKeyOrder,
): Promise<LogKeyRotation | Refused> {
  const { tx, now_ms } = writing;
  const authorized = await authorize(writing, { operation: 'key.rotate', log_key: handover });
  if (authorized instanceof Refused) return authorized;
  const { size: place, epoch } = batchOf(tx).head;
  const retires_ms = now_ms + overlap_days * DAY_MS;
  const { key, former } = handover;
  const isNext =
    epoch === row.epoch &&
    (await insertNextLogKey(tx, { ...row, created_ms: now_ms, place }, { former, retiresMs: retires_ms }));
  if (!isNext) throw new BrokerError('state_conflict', 'The log was handed over to another key meanwhile.');
  return { key, former, place, retires_ms };
}
