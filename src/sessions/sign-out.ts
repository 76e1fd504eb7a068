import type { CallIds, ControlDeps } from '../decide/control.ts';
import { BrokerError } from '../errors.ts';
import type { Caller, RequestCredentials } from '../identity/credential.ts';
import { hasCookie, readSecret, SESSION_COOKIE } from './cookies.ts';
import { endSession } from './end-session.ts';
import { type Sessions, sessionIdOf } from './sessions.ts';

/** What {@link signOut} needs. */
export interface SignOutDeps {
  authenticate(presented: RequestCredentials): Promise<Caller>;
  control: ControlDeps;
  sessions: Pick<Sessions, 'issuerOf'>;
}

/**
 * Ends the browser's session.
 *
 * @returns the issuer of the session, even if it has expired, because the browser may still be signed in at the
 *   provider; null for an unknown session
 */
export async function signOut(
  { authenticate, control, sessions }: SignOutDeps,
  { presented, ids }: { presented: RequestCredentials; ids: CallIds },
): Promise<string | null> {
  // Pages accept no tokens.
  if (!hasCookie(presented.cookie, SESSION_COOKIE)) return null;
  const issuer = await sessions.issuerOf(readSecret(presented.cookie, SESSION_COOKIE));
  try {
    const caller = await authenticate(presented);
    const id = sessionIdOf(caller.credential);
    if (id === null) return null;
    await endSession(control, { ...caller, ...ids }, { id, reason: 'signed_out' });
  } catch (error) {
    // An expired or revoked session has already ended. The cookie is removed anyway.
    const isOver =
      error instanceof BrokerError && ['unauthenticated', 'token_invalid', 'not_found'].includes(error.code);
    if (!isOver) throw error;
  }
  return issuer;
}
