import { revocableName } from '../identity/revocable.ts';
import { LEEWAY_S } from '../identity/verify-token.ts';
import { foldPerson } from '../person-name.ts';
import { resolvePerson } from '../policy/persons.ts';
import type { Policy } from '../policy/policies.ts';
import { isPrincipalId } from '../principal.ts';
import { MAX_READER_REVOCATIONS, type ReadersContent, revokedName } from '../snapshot/readers.ts';
import type { RevocationsTable } from '../store/schema.ts';

/** A revocation, as far as a list of readers needs it. */
export type ListedRevocation = Pick<
  RevocationsTable,
  'kind' | 'value' | 'issued_before_ms' | 'created_ms' | 'expires_ms'
>;

/** What is revoked under one name. */
interface Entry {
  /** Null: whenever it was issued. */
  beforeMs: number | null;
  /** A moment before which everything that it revokes was issued; null if there is none. */
  endMs: number | null;
}

/**
 * What is revoked, by hashes. If there is too much, the oldest revocations become one of everything issued before a moment: it
 * refuses more, and never less.
 *
 * @param under.max how many entries there may be besides that one
 * @throws Error if there are too many that hold whatever the moment
 */
export function listRevoked(
  rows: readonly ListedRevocation[],
  under: {
    origin: string;
    policy: { broker: Pick<Policy['broker'], 'persons'> };
    nowMs: number;
    max?: number;
  },
): ReadersContent['revoked'] {
  const { origin, policy, nowMs, max = MAX_READER_REVOCATIONS } = under;
  const entries = new Map<string, Entry>();
  for (const row of rows) {
    // Everything that it revokes has expired.
    if (row.expires_ms !== null && row.expires_ms + LEEWAY_S * 1000 < nowMs) continue;
    for (const value of valuesUnder(policy, row)) {
      const name = revokedName(origin, revocableName(row.kind, value));
      entries.set(name, wider(entries.get(name), entryOf(row)));
    }
  }
  const sorted = [...entries].toSorted(([one, a], [other, b]) => {
    const [first, second] = [a.endMs ?? Number.POSITIVE_INFINITY, b.endMs ?? Number.POSITIVE_INFINITY];
    if (first !== second) return second - first;
    return one < other ? -1 : 1;
  });
  const listed = sorted
    .slice(0, max)
    .map(([name, { beforeMs }]): [string, number | null] => [name, beforeMs]);
  const [, next] = sorted[max] ?? [];
  if (next === undefined) return listed;
  if (next.endMs === null)
    throw new Error(
      `there are more than ${max} revocations that hold until they are lifted, and a list of readers has no room for them; lift those of what is gone`,
    );
  const everybody = revokedName(origin, revocableName('class', 'all'));
  const { beforeMs } = wider(entries.get(everybody), { beforeMs: next.endMs, endMs: next.endMs });
  return [...listed.filter(([name]) => name !== everybody), [everybody, beforeMs]];
}

/** What a revocation revokes. A single credential, which expires, was issued before it was revoked. */
function entryOf({ issued_before_ms, expires_ms, created_ms }: ListedRevocation): Entry {
  const endMs = issued_before_ms ?? (expires_ms === null ? null : created_ms + 1);
  return { beforeMs: issued_before_ms, endMs };
}

function wider(known: Entry | undefined, other: Entry): Entry {
  if (known === undefined) return other;
  const later = (one: number | null, two: number | null) =>
    one === null || two === null ? null : Math.max(one, two);
  return { beforeMs: later(known.beforeMs, other.beforeMs), endMs: later(known.endMs, other.endMs) };
}

/** Every name that a token may have for what is revoked. Only the broker knows which names are one person. */
function valuesUnder(
  policy: { broker: Pick<Policy['broker'], 'persons'> },
  { kind, value }: ListedRevocation,
): readonly string[] {
  if (kind !== 'subject' || isPrincipalId(value)) return [value];
  const person = resolvePerson(policy, value);
  const aliases = [...policy.broker.persons].filter(([, name]) => name === person).map(([alias]) => alias);
  return [...new Set([person, ...aliases.map(foldPerson)])];
}
