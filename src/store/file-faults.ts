/*
 * Why a database file cannot be opened or written, in words for the operator.
 */

/** By the code of SQLite or of the system, without its details. */
const REMEDIES: readonly { codes: RegExp; says: string }[] = [
  { codes: /^(?:SQLITE_FULL|ENOSPC|EDQUOT)/, says: 'the disk is full: free some space, then start again' },
  {
    codes: /^(?:SQLITE_READONLY|EROFS)/,
    says: 'it cannot be written: mount its disk writable, or let the user who runs the broker write the file and its folder',
  },
  {
    codes: /^(?:EACCES|EPERM|SQLITE_CANTOPEN|SQLITE_PERM|SQLITE_AUTH)/,
    says: 'this user may not open it: let the user who runs the broker read and write the file and its folder',
  },
  { codes: /^EISDIR/, says: 'there is a folder in its place: name another file' },
  {
    codes: /^SQLITE_(?:NOTADB|CORRUPT)/,
    says: 'it is damaged, or no SQLite database: name another file, or restore a copy',
  },
  { codes: /^(?:SQLITE_IOERR|EIO)/, says: 'its disk fails or is full: check the disk, then start again' },
];

/**
 * An error that says what to do about a file; the error itself if it is about something else.
 *
 * @param file the database
 */
export function explainFileFault(file: string, error: unknown): unknown {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code } = at as NodeJS.ErrnoException;
    const remedy = REMEDIES.find(({ codes }) => typeof code === 'string' && codes.test(code));
    if (remedy !== undefined) {
      return new Error(`the database ${file} cannot be used (${code}): ${remedy.says}`, { cause: error });
    }
  }
  return error;
}
