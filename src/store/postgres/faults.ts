import { DatabaseError } from 'pg';

/*
 * What a server answers, in one form: `write-faults.ts` tells callers what follows from a code.
 */

/** The connection ended, or does not answer: whatever was sent may have been done, or not. */
export const LOST = 'PG_LOST';
/** A warning at a commit: the server stopped waiting for its standby. */
export const NOT_REPLICATED = 'PG_NOT_REPLICATED';
/** A pooler is between. */
export const POOLED = 'PG_POOLED';
/** The server undid the transaction at its commit. */
export const ROLLED_BACK = 'PG_ROLLED_BACK';

/** An error of the server, or of the connection to it. `code` is `PG_` and the SQLSTATE, or one of this file. */
export class PostgresFault extends Error {
  readonly code: string;

  constructor(code: string, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'PostgresFault';
    this.code = code;
  }
}

/** The classes of SQLSTATE after which the connection is of no use: it is broken, or the server ends it. */
const ENDING = /^(?:08|57P0|25P03)/;

/** The fault behind an error of `pg`. Its text has no parameters, which may be secret. */
export function faultOf(error: unknown): PostgresFault {
  if (error instanceof PostgresFault) return error;
  const { message } = error as Error;
  if (/client password must be/.test(message)) {
    const asked =
      'the database server asks for a password: put it into the address, into PGPASSWORD or into ~/.pgpass';
    return new PostgresFault(LOST, asked, error);
  }
  if (!(error instanceof DatabaseError) || error.code === undefined) {
    return new PostgresFault(LOST, `the database server does not answer: ${message}`, error);
  }
  const isEnding = ENDING.test(error.code) || error.severity === 'FATAL' || error.severity === 'PANIC';
  return new PostgresFault(isEnding ? LOST : `PG_${error.code}`, `${message} (${error.code})`, error);
}
