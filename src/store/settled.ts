/*
 * Tables that each write reads and hardly any changes. What one write of a batch has read of them holds for those after it,
 * until one of them changes the table: then all later ones read it themselves, also if that change is rolled back.
 */

const TABLES = ['breakglass_sessions', 'freezes', 'meta', 'policy_activations'] as const;

/** One of these tables. */
export type SettledTable = (typeof TABLES)[number];

/** What a batch on one connection has read of these tables. */
export interface SettledReads {
  /** Begins a batch: nothing is known. */
  begin(tx: object): void;
  /** Takes note of every statement on the connection, before it runs. */
  note(sql: string): void;
  /** What `read` has answered before in this batch for this key, or else what it answers now. */
  once<T>(options: { db: object; table: SettledTable; key: string; read: () => Promise<T> }): Promise<T>;
}

/** The texts that are looked through once; those that are built anew for each call are not kept. */
const MAX_TEXTS = 500;

/** Creates the reads of one connection. */
export function createSettledReads(): SettledReads {
  const mentioned = new Map<string, readonly SettledTable[]>();
  let batch: object | null = null;
  let known = new Map<string, Promise<unknown>>();
  let changed = new Set<SettledTable>();

  return {
    begin: (tx) => {
      batch = tx;
      known = new Map();
      changed = new Set();
    },
    note: (sql) => {
      let tables = mentioned.get(sql);
      if (tables === undefined) {
        tables = tablesChangedBy(sql);
        if (mentioned.size < MAX_TEXTS) mentioned.set(sql, tables);
      }
      for (const table of tables) changed.add(table);
    },
    once: <T>(asked: { db: object; table: SettledTable; key: string; read: () => Promise<T> }) => {
      const { db, table, key, read } = asked;
      if (db !== batch || changed.has(table)) return read();
      const name = `${table} ${key}`;
      const found = known.get(name) as Promise<T> | undefined;
      if (found !== undefined) return found;
      const answer = read();
      known.set(name, answer);
      // Whoever asked is told; the next one tries again.
      answer.catch(() => known.delete(name));
      return answer;
    },
  };
}

/** All that a statement mentions which does more than read. */
function tablesChangedBy(sql: string): readonly SettledTable[] {
  if (/^\s*select\b/i.test(sql)) return [];
  return TABLES.filter((table) => new RegExp(`\\b${table}\\b`, 'i').test(sql));
}
