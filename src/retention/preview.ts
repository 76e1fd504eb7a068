import {
  countOldEvaluations,
  findFirstOpen,
  findLastBefore,
  findLastTakenOut,
  measureInputs,
} from '../store/archives.ts';
import type { Store } from '../store/store.ts';

/** What has grown old. */
export interface Old {
  /** How many inputs would be moved, and how many characters they have. */
  inputs: number;
  characters: number;
  /** The place of the last record whose input would be moved; null without any. */
  up_to: number | null;
  /** How many counts of evaluations would be deleted. */
  evaluations: number;
}

/** What is older than these times, in epoch milliseconds; null: whatever its age, nothing. */
export async function previewRetention(
  { read }: Store,
  limits: { inputs: number | null; evaluations: number | null },
): Promise<Old> {
  const after = await findLastTakenOut(read, 'inputs');
  const last = limits.inputs === null ? 0 : await findLastBefore(read, limits.inputs);
  const open = await findFirstOpen(read, after);
  const to = open === null ? last : Math.min(last, open - 1);
  const { count, characters } = await measureInputs(read, { after, to });
  const from = (await findLastTakenOut(read, 'evaluations')) + 1;
  const lastOfCounts = limits.evaluations === null ? 0 : await findLastBefore(read, limits.evaluations);
  return {
    inputs: count,
    characters,
    up_to: count === 0 ? null : to,
    evaluations: await countOldEvaluations(read, { from, to: lastOfCounts }),
  };
}
