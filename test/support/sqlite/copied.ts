import { openStore } from '../../../src/store/database.ts';
import type { TestDatabase } from '../postgres.ts';
import { withFile } from './file.ts';

/** Copies a database on a PostgreSQL server into a new file, for the judges of a log, which read files. */
export async function copyToFile({ run }: Pick<TestDatabase, 'run'>, file: string): Promise<void> {
  await (await openStore({ file, clock: Date.now })).close();
  const names = withFile(file, (db) => {
    db.pragma('foreign_keys = off');
    const triggers = db.prepare("select name from sqlite_master where type = 'trigger'").pluck().all();
    for (const name of triggers) db.exec(`drop trigger "${name}"`);
    return db
      .prepare(
        "select name from sqlite_master where type = 'table' and name not like 'kysely%' and name not like 'sqlite%'",
      )
      .pluck()
      .all() as string[];
  });
  for (const name of names) {
    const rows = await run(`select * from ${name}`);
    withFile(file, (db) => {
      db.pragma('foreign_keys = off');
      db.exec(`delete from "${name}"`);
      for (const row of rows) {
        const columns = Object.keys(row);
        const values = columns.map((column) => row[column]);
        db.prepare(`insert into "${name}" (${columns}) values (${columns.map(() => '?')})`).run(values);
      }
    });
  }
}
