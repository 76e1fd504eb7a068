import { ENVIRONMENT } from './flags.ts';
import { createBatches, type Work } from './floor-batch.ts';
import { openFloor, type Row } from './rows.ts';

/** The floor's store: prepared statements on better-sqlite3, one transaction for all that has arrived. */
export interface FloorStore {
  findRequest(id: string): { content: string };
  /** Runs the work in the next batch and resolves once that is durable. */
  write<T>(work: () => T): Promise<T>;
  insertRecord(details: Row, beside: { leaf: string; flag: string | null; effects: readonly string[] }): void;
  /** @throws Error when it was used before */
  claimToken(row: Row): void;
  insertVote(row: Row): void;
  writeState(flag: string, state: string, requestId: string): void;
  insertRequest(row: Row, flag: string): void;
  updateRequest(row: Row): void;
  close(): void;
}

/** As long as the root and the frontier of a large log. */
const ROOT = 'r'.repeat(44);
const FRONTIER = 'f'.repeat(428);

/** Opens a database that the product has made: the same tables, indexes and triggers. */
export function openFloorStore(file: string): FloorStore {
  const { statements, inTransaction, close } = openFloor(file);
  let size = 0;

  const runAll = inTransaction((works: readonly Work[]) => {
    ({ size } = statements.readHead.get() as { size: number });
    const values = works.map((work) => work());
    statements.writeHead.run(size, Date.now(), ROOT, FRONTIER);
    return values;
  });

  return {
    findRequest: (id) => statements.findRequest.get(id) as { content: string },
    write: createBatches(runAll),
    insertRecord: (details, { leaf, flag, effects }) => {
      size += 1;
      statements.insertLeaf.run(size, leaf);
      statements.insertDetails.run({ ...details, place: size });
      if (flag !== null) statements.insertRecordFlag.run(flag, size);
      for (const effect of effects) statements.insertOutbox.run(size, effect);
    },
    claimToken: (row) => statements.claimToken.run(row),
    insertVote: (row) => statements.insertVote.run(row),
    writeState: (flag, state, requestId) => {
      const { version } = statements.updateState.get(state, ENVIRONMENT, flag) as { version: number };
      statements.insertStateVersion.run(flag, ENVIRONMENT, version, state, requestId, requestId, Date.now());
      statements.raiseEnvironment.run(ENVIRONMENT);
    },
    insertRequest: (row, flag) => {
      statements.insertRequest.run(row);
      statements.insertRequestFlag.run(flag, row.id);
    },
    updateRequest: (row) => statements.updateRequest.run(row),
    close,
  };
}
