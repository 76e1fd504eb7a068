/** Whether the name of a database is the address of a PostgreSQL server, and not a path. */
export function isAddress(database: string): boolean {
  return /^postgres(?:ql)?:\/\//i.test(database);
}

/** An address as it may be shown: without the password. */
export function shownAddress(address: string): string {
  try {
    const { hostname, port, pathname } = new URL(address);
    return `postgres://${decodeURIComponent(hostname)}${port === '' ? '' : `:${port}`}${pathname}`;
  } catch {
    return 'postgres://…';
  }
}
