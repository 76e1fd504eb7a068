import type { Editor } from '../decide/revocations.ts';
import type { DecisionRecord } from '../log/details.ts';
import { listEdits } from '../store/records.ts';
import type { Db } from '../store/statement.ts';

/** The editors of a request, from the log: the request itself names only the humans behind them. */
export async function loadEditors(
  db: Db,
  { id, revision }: { id: string; revision: number },
): Promise<Editor[]> {
  // The first revision has no editors.
  if (revision <= 1) return [];
  const edits = await listEdits(db, id);
  return edits.map((details) => (JSON.parse(details) as DecisionRecord).principal);
}
