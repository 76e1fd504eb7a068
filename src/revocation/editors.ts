import type { Editor } from '../decide/revocations.ts';
import type { DecisionRecord } from '../log/details.ts';
import { listEdits } from '../store/records.ts';
import type { Db } from '../store/statement.ts';

/** Who edited a request, as the log has them: the request itself names the humans behind them only. */
export async function loadEditors(
  db: Db,
  { id, revision }: { id: string; revision: number },
): Promise<Editor[]> {
  // Nobody has edited what is as it was proposed.
  if (revision <= 1) return [];
  const edits = await listEdits(db, id);
  return edits.map((details) => (JSON.parse(details) as DecisionRecord).principal);
}
