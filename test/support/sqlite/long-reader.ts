import { writeSync } from 'node:fs';
import Sqlite from 'better-sqlite3';

/*
 * Another program that reads the database: begins to read, says so, and does not end.
 *
 *     node long-reader.ts <file>
 */

const db = new Sqlite(process.argv[2] ?? '', { readonly: true });
db.exec('begin');
db.prepare('select count(*) from meta').get();
writeSync(1, 'reading\n');
setInterval(() => db.prepare('select 1').get(), 60_000);
