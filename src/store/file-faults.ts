import { systemCode } from './system-refusal.ts';

/*
 * Why a database file cannot be opened or written, in words for the operator.
 */

/** What a code says about a file. */
export interface FileFault {
  /** The code of SQLite or of the system. */
  code: string;
  /** `no_file`: there is nothing that could be read. */
  kind: 'unwritable' | 'damaged' | 'no_file';
  /** What to do about it. */
  says: string;
}

/** By the code of SQLite or of the system, without its details. */
const REMEDIES: readonly (Omit<FileFault, 'code'> & { codes: RegExp })[] = [
  {
    codes: /^(?:SQLITE_FULL|ENOSPC|EFBIG|EDQUOT)/,
    kind: 'unwritable',
    says: 'the disk is full: free some space, then start again',
  },
  {
    codes: /^(?:SQLITE_READONLY|EROFS)/,
    kind: 'unwritable',
    says: 'it cannot be written: mount its disk writable, or let the user who runs the broker write the file and its folder',
  },
  {
    codes: /^(?:EACCES|EPERM|SQLITE_CANTOPEN|SQLITE_PERM|SQLITE_AUTH)/,
    kind: 'unwritable',
    says: 'this user may not open it: let the user who runs the broker read and write the file and its folder',
  },
  {
    codes: /^EISDIR/,
    kind: 'no_file',
    says: 'there is a folder in its place: name another file',
  },
  {
    codes: /^SQLITE_NOTADB/,
    kind: 'no_file',
    says: 'it is damaged, or no SQLite database: name another file, or restore a copy',
  },
  {
    codes: /^SQLITE_CORRUPT/,
    kind: 'damaged',
    says: 'it is damaged: restore a backup',
  },
  {
    codes: /^(?:SQLITE_IOERR|EIO)/,
    kind: 'unwritable',
    says: 'its disk fails or is full: check the disk, then start again',
  },
];

/** What a code of SQLite or of the system says about a file; null if it is about something else. */
export function faultOf(code: string | null): FileFault | null {
  const remedy = code === null ? undefined : REMEDIES.find(({ codes }) => codes.test(code));
  return code === null || remedy === undefined ? null : { code, kind: remedy.kind, says: remedy.says };
}

/** The fault of a file in an error or one of its causes; null if it is about something else. */
export function faultIn(error: unknown): FileFault | null {
  for (let at = error; at instanceof Error; at = at.cause) {
    const fault = faultOf(systemCode(at));
    if (fault !== null) return fault;
  }
  return null;
}

/**
 * An error that says what to do about a file; the error itself if it is about something else.
 *
 * @param file the database
 */
export function explainFileFault(file: string, error: unknown): unknown {
  const fault = faultIn(error);
  if (fault === null) return error;
  return new Error(`the database ${file} cannot be used (${fault.code}): ${fault.says}`, { cause: error });
}
