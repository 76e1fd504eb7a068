import { type Checkpoint, parseUnverified } from '../../tree/checkpoint.ts';
import { LogFault } from '../../tree/fault.ts';
import { type ReadLogFile, rootOfFirst, verifyContinues, verifyLog } from '../../tree/verify-log.ts';
import { MeaningFault } from './fault.ts';
import type { RestoreFound } from './findings.ts';

/*
 * The log that a confirmed restore has ended, compared with what the restored log says of it. Nothing of it is believed: the
 * record of the restore has its root, and the restored log its beginning.
 */

/** A former log that was compared. */
export interface FormerFound {
  origin: string;
  /** How many records it has. */
  size: number;
  /** The place of the record that follows it. */
  followed_at: number;
  /** How many of its records the restored log has, too; what it had after them is lost there. */
  common: number;
}

/**
 * Verifies that a former log is the one that a restore names, whole: with every leaf and tile, with the checkpoint that the
 * restore commits, and with the beginning that the restored log has of it.
 *
 * @param log the restored log, whose leaves and tiles were verified
 * @param former reads the files of the former log
 * @throws MeaningFault `former_other`
 */
export async function verifyFormer(
  log: { checkpoint: Checkpoint; read: ReadLogFile },
  former: ReadLogFile,
  restores: readonly RestoreFound[],
): Promise<FormerFound> {
  const note = String(await former('checkpoint'));
  const origin = note.split('\n', 1)[0] ?? '';
  const restore = restores.findLast((each) => each.origin === origin);
  if (restore === undefined)
    throw new MeaningFault('former_other', null, `no restore in this log names ${JSON.stringify(origin)}`);
  const { place, size, root } = restore;
  try {
    const checkpoint = parseUnverified(note, origin);
    if (checkpoint.size < size)
      throw new LogFault(`it was cut off: it has ${checkpoint.size} records, and the restore names ${size}`);
    const committed = root === null ? undefined : { origin, size, root: Buffer.from(root, 'base64') };
    await verifyLog({ checkpoint, read: former, continues: committed });
    // The record of the restore is the first that the former log does not have.
    const common = place - 1;
    if (common > checkpoint.size)
      throw new LogFault(`it has ${checkpoint.size} records, and the restored log has ${common} of it`);
    const beginning = { origin, size: common, root: await rootOfFirst(log, common) };
    await verifyContinues({ checkpoint, read: former }, beginning);
    return { origin, size: checkpoint.size, followed_at: place, common };
  } catch (error) {
    if (!(error instanceof LogFault)) throw error;
    throw new MeaningFault(
      'former_other',
      place,
      `the former log ${JSON.stringify(origin)}: ${error.message}`,
    );
  }
}
