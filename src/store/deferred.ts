/*
 * Rows that are inserted at the end of their batch, in as few statements as possible: hardly anything reads them before. Where
 * a statement of the batch names their table, they are inserted before it, so every write sees what those before it did. Rows
 * of a write that is undone are forgotten with it.
 */

const TABLES = [
  'leaves',
  'record_details',
  'record_flags',
  'outbox',
  'flag_versions',
  'flag_state_versions',
  'requests',
  'request_flags',
  'request_namespaces',
  'environment_versions',
  'receipts',
] as const;

/** One of these tables. */
export type DeferredTable = (typeof TABLES)[number];

/** Inserts rows, all of one table, in one statement. */
type Insert = (rows: readonly object[]) => void;

interface Waiting {
  insert: Insert;
  rows: object[];
}

/** The rows that wait, at one moment. */
export type DeferredMark = ReadonlyMap<DeferredTable, { waiting: Waiting; count: number }>;

/** The rows of a batch on one connection that wait for its end. */
export interface DeferredRows {
  /** Begins a batch: nothing waits. */
  begin(tx: object): void;
  /** Ends it: what waits is forgotten. */
  end(): void;
  /** Takes note of every statement on the connection, before it runs: rows of each table that it names are inserted first. */
  note(sql: string): void;
  /** Whether rows of this transaction wait for its end. */
  isOpen(tx: object): boolean;
  /** Lets a row wait. */
  add(table: DeferredTable, row: object, insert: Insert): void;
  /** Inserts what waits. */
  flush(): void;
  /** What waits now, to be restored if what comes next is undone. */
  mark(): DeferredMark;
  /** Lets wait what waited then, also what was inserted since: that was undone. */
  restore(mark: DeferredMark): void;
}

/** The texts that are looked through once; those that are built anew for each call are not kept. */
const MAX_TEXTS = 500;
/** A statement takes at most so many rows. There is one statement for each power of two, so that few are prepared. */
const MAX_ROWS = 32;

/** The tables that each text names. */
const named = new Map<string, readonly DeferredTable[]>();

/** Creates the rows that wait on one connection. */
export function createDeferredRows(): DeferredRows {
  let batch: object | null = null;
  let waiting = new Map<DeferredTable, Waiting>();

  function flushOne(table: DeferredTable): void {
    const found = waiting.get(table);
    if (found === undefined) return;
    // A mark may still need the rows, so they stay as they are.
    waiting.delete(table);
    for (let from = 0; from < found.rows.length; ) {
      const left = found.rows.length - from;
      const count = Math.min(MAX_ROWS, 2 ** Math.floor(Math.log2(left)));
      try {
        found.insert(found.rows.slice(from, from + count));
      } catch (error) {
        // Whoever is told may go on, so the end of the batch has to meet the refusal again.
        waiting.set(table, { ...found, rows: found.rows.slice(from) });
        throw error;
      }
      from += count;
    }
  }

  return {
    begin: (tx) => {
      batch = tx;
      waiting = new Map();
    },
    end: () => {
      batch = null;
      waiting = new Map();
    },
    note: (sql) => {
      if (waiting.size === 0) return;
      let tables = named.get(sql);
      if (tables === undefined) {
        tables = TABLES.filter((table) => new RegExp(`\\b${table}\\b`, 'i').test(sql));
        if (named.size < MAX_TEXTS) named.set(sql, tables);
      }
      for (const table of tables) flushOne(table);
    },
    isOpen: (tx) => batch !== null && batch === tx,
    add: (table, row, insert) => {
      const found = waiting.get(table);
      if (found === undefined) waiting.set(table, { insert, rows: [row] });
      else found.rows.push(row);
    },
    flush: () => {
      for (const table of TABLES) flushOne(table);
    },
    mark: () => new Map([...waiting].map(([table, of]) => [table, { waiting: of, count: of.rows.length }])),
    restore: (mark) => {
      waiting = new Map();
      for (const [table, { waiting: of, count }] of mark) {
        of.rows.length = count;
        waiting.set(table, of);
      }
    },
  };
}
