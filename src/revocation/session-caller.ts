import { type Caller, nameAtIssuer } from '../identity/credential.ts';
import type { Principal } from '../principal.ts';
import type { SessionsTable } from '../store/schema.ts';

/** The prefix of a session's id in place of a token's id. */
export const TOKEN_ID_PREFIX = 'session:';

/** The caller of a session, and its credential. */
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

/** The principal of a session, as of the sign-in. */
export function principalOfRow({ principal }: Pick<SessionsTable, 'principal'>): Principal {
  return JSON.parse(principal) as Principal;
}

/** The id of a session as a credential. */
export function sessionTokenId(id: string): string {
  return `${TOKEN_ID_PREFIX}${id}`;
}
