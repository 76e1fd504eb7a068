import Sqlite from 'better-sqlite3';

/**
 * Fills a database with earlier requests and their records, as many of each as asked for: copies of what one toggle
 * wrote, under new ids, with all their index entries.
 */
export function seed(file: string, options: { requestId: unknown; count: number }): void {
  const db = new Sqlite(file);
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = OFF');
  const each = `with recursive each(n) as (select 1 union all select n + 1 from each where n < ${options.count})`;
  // Ids of the past sort before those of the run, as UUID version 7 does.
  const id = "printf('0190%04x-%04x-7%03x-8000-%012x', n >> 16, n & 65535, n % 4096, n)";
  const copy = (table: string, changed: Record<string, string>, where: string) => {
    const columns = (db.pragma(`table_info(${table})`) as { name: string }[]).map(({ name }) => name);
    const values = columns.map((name) => changed[name] ?? `source.${name}`);
    db.prepare(
      `${each} insert into ${table} (${columns.join(', ')})
       select ${values.join(', ')} from each, (select * from ${table} where ${where}) as source`,
    ).run(options.requestId);
  };
  const size = Number(db.prepare('select size from log_head').pluck().get());
  const place = `${size} + n`;
  const source = 'place = (select min(place) from record_details where request_id = ?)';
  db.transaction(() => {
    copy('requests', { id }, 'id = ?');
    copy('request_flags', { request_id: id }, 'request_id = ?');
    copy('leaves', { place }, source);
    copy('record_flags', { place }, source);
    copy('record_details', { place, id, request_id: id }, source);
    db.prepare('update log_head set size = size + ?').run(options.count);
    copy('flag_state_versions', { version: '1000000 + n', request_id: id }, 'request_id = ?');
  })();
  db.pragma('wal_checkpoint(TRUNCATE)');
  db.close();
}
