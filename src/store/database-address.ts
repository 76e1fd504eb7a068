/*
 * The name of a database: the path of a file, or the address of a PostgreSQL server.
 */

/** Whether the name of a database is the address of a PostgreSQL server, and not a path. */
export function isAddress(database: string): boolean {
  return /^postgres(?:ql)?:\/\//i.test(database);
}

/**
 * The name of a database as it may be shown: without the user and the password. A password with a character that had to be
 * escaped makes a part of it look like the host or the path, so nothing of an address with an @ after its host is shown.
 */
export function shownDatabase(database: string): string {
  if (!isAddress(database)) return database;
  if (/^[^:]+:\/\/[^/?#]*[/?#].*@/s.test(database)) return 'postgres://…';
  try {
    const { hostname, port, pathname } = new URL(database);
    return `postgres://${hostname}${port === '' ? '' : `:${port}`}${pathname}`;
  } catch {
    return 'postgres://…';
  }
}
