import { createHash } from 'node:crypto';
import { EMPTY_FRONTIER, leafHash, rootOf, withLeaf } from '../tree/hashes.ts';
import { keyOf, type Row, type RowKey, readPage, rowText, type TableName } from './copy-rows.ts';
import { readHead } from './log-head.ts';
import type { Db } from './statement.ts';

/** A table that is the same in both databases. */
export interface VerifiedTable {
  table: TableName;
  rows: number;
  /** SHA-256 over its rows, in hex. */
  digest: string;
}

/** What differs between two databases. */
export class CopyDiffers extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'CopyDiffers';
  }
}

/**
 * Reads a table in both databases, row by row.
 *
 * @throws CopyDiffers with the first row that is not the same
 */
export async function compareTable(
  { source, target }: { source: Db; target: Db },
  table: TableName,
  onRows: (done: number) => void,
): Promise<VerifiedTable> {
  const digest = createHash('sha256');
  let rows = 0;
  let after: RowKey | null = null;
  for (;;) {
    const [wanted, found]: [Row[], Row[]] = [
      await readPage(source, table, after),
      await readPage(target, table, after),
    ];
    for (let place = 0; place < Math.max(wanted.length, found.length); place += 1) {
      const [one, other] = [wanted[place], found[place]];
      const text = one === undefined ? null : rowText(one);
      if (text === null || other === undefined || text !== rowText(other))
        throw new CopyDiffers(differs(table, one, other));
      digest.update(`${text}\n`);
    }
    rows += wanted.length;
    onRows(rows);
    const last = wanted.at(-1);
    if (last === undefined) return { table, rows, digest: digest.digest('hex') };
    after = keyOf(table, last);
  }
}

/** What is wrong where the first rows that are not the same are these, each the next in its database. */
function differs(table: TableName, one: Row | undefined, other: Row | undefined): string {
  const order = compareKeys(one && keyOf(table, one), other && keyOf(table, other));
  const key = keyOf(table, (order > 0 ? other : one) ?? {}).join(', ');
  if (order < 0) return `The copy lacks the row ${key} of the table ${table}.`;
  if (order > 0) return `The copy has a row ${key} in the table ${table} that is not in the file.`;
  return `The row ${key} of the table ${table} is another one in the copy.`;
}

/** The order of two keys, as both engines have it. None is after all others. */
function compareKeys(one: RowKey | undefined, other: RowKey | undefined): number {
  if (one === undefined || other === undefined)
    return (one === undefined ? 1 : 0) - (other === undefined ? 1 : 0);
  for (const [place, value] of one.entries()) {
    const opposite = other[place];
    const order =
      typeof value === 'number'
        ? value - Number(opposite)
        : Buffer.compare(Buffer.from(String(value)), Buffer.from(String(opposite)));
    if (order !== 0) return order;
  }
  return 0;
}

/** @throws CopyDiffers if the leaves of a database are not those of that root */
export async function verifyLeaves(db: Db, expected: { size: number; root: string }): Promise<void> {
  let frontier = EMPTY_FRONTIER;
  let after: RowKey | null = null;
  for (;;) {
    const rows: Row[] = await readPage(db, 'leaves', after);
    const last = rows.at(-1);
    if (last === undefined) break;
    for (const { leaf } of rows) frontier = withLeaf(frontier, leafHash(leaf as string));
    after = keyOf('leaves', last);
  }
  const root = rootOf(frontier).toString('base64');
  if (frontier.size === expected.size && root === expected.root) return;
  throw new CopyDiffers(
    `The log of the copy has ${frontier.size} records and the root ${root}; the file has ${expected.size} records and the root ${expected.root}.`,
  );
}

/** @throws CopyDiffers if the head of the log is not the same, but for the fence of its writers */
export async function compareHeads({ source, target }: { source: Db; target: Db }): Promise<void> {
  const [{ fence: _, ...one }, { fence: __, ...other }] = [await readHead(source), await readHead(target)];
  if (JSON.stringify(one) !== JSON.stringify(other))
    throw new CopyDiffers('The head of the log is another one in the copy.');
}
