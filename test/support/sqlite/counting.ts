import { closeSync, openSync, readSync, statSync } from 'node:fs';
import Sqlite from 'better-sqlite3';
import { withFile } from './file.ts';

/*
 * What SQLite does for a write: the statements of this process, and the bytes of a broker's file. No time is taken.
 */

const RUNS = ['run', 'get', 'all', 'iterate'] as const;

/** The statements that this process has run since. */
export interface StatementCount {
  /** Their texts since the last call, in order. */
  take(): string[];
  stop(): void;
}

/** Notes each statement that is run on any connection of this process, whenever it was prepared. */
export function countStatements(): StatementCount {
  let texts: string[] = [];
  const prototype = prototypeOfStatements();
  const originals = RUNS.map((name) => [name, prototype[name]] as const);
  for (const [name, original] of originals) {
    prototype[name] = function (this: Sqlite.Statement, ...values: unknown[]) {
      texts.push(this.source);
      return original.apply(this, values);
    };
  }
  return {
    take: () => {
      const taken = texts;
      texts = [];
      return taken;
    },
    stop: () => {
      for (const [name, original] of originals) prototype[name] = original;
    },
  };
}

type Running = (this: Sqlite.Statement, ...values: unknown[]) => unknown;

function prototypeOfStatements(): Record<(typeof RUNS)[number], Running> {
  const db = new Sqlite(':memory:');
  const prototype = Object.getPrototypeOf(db.prepare('select 1'));
  db.close();
  return prototype;
}

/** What was written, and what is kept of it. */
export interface Bytes {
  writtenBytes: number;
  keptBytes: number;
  /** By table and index. */
  keptIn: Map<string, number>;
}

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;

/**
 * Empties the write-ahead log of a broker's file.
 *
 * @returns what tells the pages that were written since: one after another into that log, and from there each once into
 *   the file, and how many bytes the file, and each table and index, has more than before
 */
export function countBytes(file: string): () => Bytes {
  const [checkpoint] = withFile(file, (db) => db.pragma('wal_checkpoint(TRUNCATE)')) as { busy: number }[];
  if (checkpoint?.busy !== 0) throw new Error('the write-ahead log is in use');
  const before = pagesOf(file);
  const usedBefore = usedBytes(file);
  return () => {
    const keptIn = new Map<string, number>();
    for (const [name, bytes] of usedBytes(file)) {
      const more = bytes - (usedBefore.get(name) ?? 0);
      if (more !== 0) keptIn.set(name, more);
    }
    const { frames, pages } = readWal(`${file}-wal`, before.pageBytes);
    return {
      writtenBytes: frames * (before.pageBytes + FRAME_HEADER_BYTES) + pages * before.pageBytes,
      keptBytes: (pagesOf(file).count - before.count) * before.pageBytes,
      keptIn,
    };
  };
}

/** The bytes in use of each table and each index, without what is free in their pages. @see https://sqlite.org/dbstat.html */
function usedBytes(file: string): Map<string, number> {
  const rows = withFile(
    file,
    (db) => db.prepare('select name, sum(pgsize - unused) as bytes from dbstat group by name').all(),
    { readonly: true },
  ) as { name: string; bytes: number }[];
  return new Map(rows.map(({ name, bytes }) => [name, bytes]));
}

/** The pages that hold something. */
function pagesOf(file: string): { count: number; pageBytes: number } {
  return withFile(
    file,
    (db) => {
      const read = (name: string) => Number(db.pragma(name, { simple: true }));
      return { count: read('page_count') - read('freelist_count'), pageBytes: read('page_size') };
    },
    { readonly: true },
  );
}

/** @see https://sqlite.org/fileformat2.html#the_write_ahead_log */
function readWal(path: string, pageBytes: number): { frames: number; pages: number } {
  const frameBytes = FRAME_HEADER_BYTES + pageBytes;
  const frames = (statSync(path).size - HEADER_BYTES) / frameBytes;
  if (!Number.isInteger(frames)) throw new Error(`${path} has a part of a frame`);
  const pages = new Set<number>();
  const descriptor = openSync(path, 'r');
  const head = Buffer.alloc(4);
  for (let frame = 0; frame < frames; frame += 1) {
    readSync(descriptor, head, 0, head.length, HEADER_BYTES + frame * frameBytes);
    pages.add(head.readUInt32BE());
  }
  closeSync(descriptor);
  return { frames, pages: pages.size };
}
