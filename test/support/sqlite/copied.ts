import { join } from 'node:path';
import { Client, types } from 'pg';
import { isAddress } from '../../../src/store/database-address.ts';
import { withFile } from './file.ts';

const INT8 = 20;

let copies = 0;

/** The database of a broker as a file, which the judges of a log read: one on a PostgreSQL server is copied as it is now. */
export async function asFile({ file, folder }: { file: string; folder: string }): Promise<string> {
  if (!isAddress(file)) return file;
  copies += 1;
  const copy = join(folder, `copy-${copies}.db`);
  await copyToFile({ address: file }, copy);
  return copy;
}

/** Copies a database on a PostgreSQL server, as it is at one moment, into a new file, for the judges of a log, which read files. */
export async function copyToFile({ address }: { address: string }, file: string): Promise<void> {
  const parsers = {
    getTypeParser: (type: number) => (type === INT8 ? Number : types.getTypeParser(type)),
  };
  const client = new Client({ connectionString: address, types: parsers as never });
  await client.connect();
  try {
    await client.query('begin isolation level repeatable read read only');
    const { rows: tables } = await client.query<{ name: string }>(
      "select tablename as name from pg_tables where schemaname = 'public'",
    );
    const read: { name: string; rows: unknown[][]; columns: string[] }[] = [];
    for (const { name } of tables) {
      const { rows, fields } = await client.query<unknown[]>({
        text: `select * from "${name}"`,
        rowMode: 'array',
      });
      read.push({ name, rows, columns: fields.map((field) => `"${field.name}"`) });
    }
    withFile(file, (db) => {
      // It is judged and thrown away: nothing of it has to survive.
      db.pragma('synchronous = off');
      db.transaction(() => {
        for (const { name, rows, columns } of read) {
          db.exec(`create table "${name}" (${columns.join(', ')})`);
          const insert = db.prepare(`insert into "${name}" values (${columns.map(() => '?').join(', ')})`);
          for (const row of rows) insert.run(...row);
        }
      })();
    });
  } finally {
    await client.end();
  }
}
