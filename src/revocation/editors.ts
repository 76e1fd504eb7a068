import type { Editor } from '../identity/revocations.ts';
import type { DecisionRecord } from '../log/append.ts';
import { listEditRecords } from '../store/records.ts';
import type { Db } from '../store/statement.ts';

/** Who edited a request, as the log has them: the request itself names the humans behind them only. */
export async function loadEditors(
  db: Db,
  { id, revision }: { id: string; revision: number },
): Promise<Editor[]> {
  // Nobody has edited what is as it was proposed.
  if (revision <= 1) return [];
  const records = await listEditRecords(db, id);
  return records.map((record) => (JSON.parse(record) as DecisionRecord).principal);
}
