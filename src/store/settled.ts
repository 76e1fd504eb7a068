/*
 * What one write of a batch has read of some tables holds for those after it, until one of them changes the table, or such a
 * change is rolled back. Only for tables that are read again and again within a batch: it costs a little to remember.
 */

const TABLES = [
  'breakglass_sessions',
  'environment_versions',
  'freezes',
  'meta',
  'policy_activations',
  'principals',
  'requests',
  'votes',
] as const;

/** One of these tables. */
export type SettledTable = (typeof TABLES)[number];

/** What a batch on one connection has read of these tables. */
export interface SettledReads {
  /** Begins a batch: nothing is known. */
  begin(tx: object): void;
  /** Begins a write: the changes before it are not undone with it. */
  beginWrite(): void;
  /** The changes of that write were rolled back. */
  undo(): void;
  /** Takes note of every statement on the connection, before it runs. */
  note(sql: string): void;
  /** A table changes in a way that no statement shows yet. */
  change(table: string): void;
  /** What `read` has answered before in this batch for this key, or else what it answers now. */
  once<T>(options: { db: object; table: SettledTable; key: string; read: () => Promise<T> }): Promise<T>;
  /** Tells what {@link SettledReads.once} would read. It holds until the table is changed or this write is undone. */
  know(options: { db: object; table: SettledTable; key: string; answer: Promise<unknown> }): void;
}

/** The texts that are looked through once; those that are built anew for each call are not kept. */
const MAX_TEXTS = 500;

/** What each text changes. */
const mentioned = new Map<string, readonly SettledTable[]>();

/** Creates the reads of one connection. */
export function createSettledReads(): SettledReads {
  let batch: object | null = null;
  let known = new Map<string, Map<string, Promise<unknown>>>();
  /** The tables that may not be after a rollback what they are now. */
  let touched = new Set<string>();

  function change(table: string): void {
    known.delete(table);
    touched.add(table);
  }

  function keep(table: SettledTable, key: string, answer: Promise<unknown>): void {
    const of = known.get(table);
    if (of === undefined) known.set(table, new Map([[key, answer]]));
    else of.set(key, answer);
  }

  return {
    begin: (tx) => {
      batch = tx;
      known = new Map();
      touched = new Set();
    },
    beginWrite: () => {
      touched = new Set();
    },
    undo: () => {
      for (const table of touched) known.delete(table);
    },
    note: (sql) => {
      let tables = mentioned.get(sql);
      if (tables === undefined) {
        tables = tablesChangedBy(sql);
        if (mentioned.size < MAX_TEXTS) mentioned.set(sql, tables);
      }
      for (const table of tables) change(table);
    },
    change,
    once: <T>(asked: { db: object; table: SettledTable; key: string; read: () => Promise<T> }) => {
      const { db, table, key, read } = asked;
      if (db !== batch) return read();
      const found = known.get(table)?.get(key) as Promise<T> | undefined;
      if (found !== undefined) return found;
      const answer = read();
      keep(table, key, answer);
      // Whoever asked is told; the next one tries again.
      answer.catch(() => known.get(table)?.delete(key));
      return answer;
    },
    know: ({ db, table, key, answer }) => {
      if (db !== batch) return;
      keep(table, key, answer);
      touched.add(table);
    },
  };
}

/** All that a statement mentions which does more than read. */
function tablesChangedBy(sql: string): readonly SettledTable[] {
  if (/^\s*select\b/i.test(sql)) return [];
  return TABLES.filter((table) => new RegExp(`\\b${table}\\b`, 'i').test(sql));
}
