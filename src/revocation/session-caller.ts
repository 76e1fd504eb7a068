import { type Caller, nameAtIssuer } from '../identity/credential.ts';
import type { Principal } from '../principal.ts';
import type { SessionsTable } from '../store/schema.ts';

/** What the id of a session begins with where ids of tokens stand. */
export const TOKEN_ID_PREFIX = 'session:';

/** Who calls with a session, and by what. */
export function callerOfRow(row: SessionsTable): Caller {
  return {
    principal: principalOfRow(row),
    credential: {
      issuer: row.issuer,
      token_id: sessionTokenId(row.id),
      kid: null,
      issued_ms: row.opened_ms,
      expires_ms: row.expires_ms,
      session: row.sid === null ? null : nameAtIssuer(row.issuer, row.sid),
      proof: null,
    },
  };
}

/** Whom a session stands for, as they signed in. */
export function principalOfRow({ principal }: Pick<SessionsTable, 'principal'>): Principal {
  return JSON.parse(principal) as Principal;
}

/** What names a session as a credential. */
export function sessionTokenId(id: string): string {
  return `${TOKEN_ID_PREFIX}${id}`;
}
