import { Client, types } from 'pg';
import { withFile } from './file.ts';

/* A database of a server as a file, so that the judge of the log and whoever else reads files can read it, too. */

const INT8 = 20;

/** Copies every row of every table into a new file, as one moment of the database has them. */
export async function copyToFile(address: string, file: string): Promise<void> {
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
    for (const { name } of tables) {
      const { rows, fields } = await client.query({ text: `select * from "${name}"`, rowMode: 'array' });
      withFile(file, (db) => {
        db.exec(`create table "${name}" (${fields.map((field) => `"${field.name}"`).join(', ')})`);
        const insert = db.prepare(`insert into "${name}" values (${fields.map(() => '?').join(', ')})`);
        db.transaction(() => {
          for (const row of rows) insert.run(...row);
        })();
      });
    }
  } finally {
    await client.end();
  }
}
