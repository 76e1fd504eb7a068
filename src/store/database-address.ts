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

/** What is wrong with the address of a server, in words that show nothing of it. Null if it can be used, and for a path. */
export function addressFault(database: string): string | null {
  if (!isAddress(database)) return null;
  try {
    const { username, password, hostname, pathname } = new URL(database);
    [username, password, hostname, pathname].forEach(decodeURIComponent);
  } catch {
    return UNREADABLE;
  }
  const rest = database.slice(database.indexOf('://') + '://'.length);
  const [, authority = '', path = '', query = '', fragment = ''] =
    /^([^/?#]*)([^?#]*)(?:\?([^#]*))?(.*)$/s.exec(rest) ?? [];
  // What belongs to the user or the password ends at the last @; other programs take the first.
  if (authority.split('@').length > 2) return UNREADABLE;
  // After the host, an @ is that of a password with a character that had to be escaped, but for values that may have one.
  const others = query.split('&').filter((parameter) => !MAY_HAVE_AT.test(parameter));
  return [path, ...others, fragment].some((part) => part.includes('@')) ? UNREADABLE : null;
}

const MAY_HAVE_AT = /^(?:application_name|fallback_application_name|options|user|password|host|ssl\w+)=/;

const UNREADABLE =
  'the address of the server cannot be read: percent-encode the characters of its user, its password and its database (/ is %2F, @ is %40, # is %23, ? is %3F, % is %25), or leave the password out of it and use PGPASSWORD or ~/.pgpass';
