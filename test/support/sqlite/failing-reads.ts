import Sqlite from 'better-sqlite3';
import { answersAtOnce, runDirectly } from '../../../src/store/statement.ts';
import type { Store } from '../../../src/store/store.ts';

/** The reads of a broker's store, which can be made to fail. */
export interface FailingReads {
  /** Lets every read fail from the next commit on, as a failing disk would. The writing connection still works. */
  failAfterCommit(): void;
  /** Whether there was a commit since. */
  committed(): boolean;
  /** Lets reads succeed again. */
  heal(): void;
  close(): void;
}

/** Takes over the reads of a store. */
export function takeOverReads(file: string, { read, writer }: Store): FailingReads {
  const executor = read.getExecutor();
  const executeQuery = executor.executeQuery.bind(executor);
  const write = writer.write.bind(writer);
  const own = new Sqlite(file, { readonly: true });
  let armed = false;
  let committed = false;

  const assertWorking = () => {
    if (armed && committed) throw Object.assign(new Error('disk I/O error'), { code: 'SQLITE_IOERR_READ' });
  };
  executor.executeQuery = async (query, options) => {
    assertWorking();
    return executeQuery(query, options);
  };
  // Statements that bypass Kysely.
  const run = (text: string, parameters: readonly unknown[]) => {
    assertWorking();
    return { rows: own.prepare(text).all(parameters), affected: 0 };
  };
  runDirectly(read, answersAtOnce(run));
  writer.write = async (work) => {
    const answer = await write(work);
    committed = true;
    return answer;
  };
  return {
    failAfterCommit: () => {
      committed = false;
      armed = true;
    },
    committed: () => committed,
    heal: () => {
      armed = false;
    },
    close: () => own.close(),
  };
}
