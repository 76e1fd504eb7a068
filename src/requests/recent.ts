import type { InputRecent } from '../policy/input.ts';
import { listApplied } from '../store/requests.ts';
import type { Db } from '../store/statement.ts';

const MINUTE_MS = 60_000;
/** The most that an input has, so that it stays small. A limit that is higher cannot be kept by a policy. */
const MAX_RECENT = 200;

/**
 * What was applied in the last minutes, as an input has it. Nothing is read unless the policy asks for it.
 *
 * @param of `minutes` is null if the policy does not ask; `except` is left out: the request that is decided
 */
export async function recentOf(
  db: Db,
  of: { minutes: number | null; except: string; nowMs: number },
): Promise<{ recent?: InputRecent[] }> {
  if (of.minutes === null) return {};
  const sinceMs = of.nowMs - of.minutes * MINUTE_MS;
  const applied = await listApplied(db, { sinceMs, except: of.except, limit: MAX_RECENT });
  return {
    recent: applied.map(({ kind, environment, namespaces, updated_ms }) => ({
      kind,
      environment,
      namespaces,
      applied_ms: updated_ms,
    })),
  };
}
