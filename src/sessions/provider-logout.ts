import { authorizeEnd } from '../decide/authorize.ts';
import type { ControlDeps, WriteContext } from '../decide/control.ts';
import { write } from '../decide/write.ts';
import { BrokerError } from '../errors.ts';
import { nameAtIssuer } from '../identity/credential.ts';
import { personId } from '../identity/person.ts';
import { type IdentityLog, TokenRefused } from '../identity/refusal.ts';
import { LEEWAY_S, MAX_TOKEN_AGE_S } from '../identity/verify-token.ts';
import type { Principal } from '../principal.ts';
import type { Reason } from '../reason.ts';
import type { RevocationOrder } from '../revocation/add.ts';
import { revoke } from '../revocation/revoke.ts';
import { principalOfRow, sessionTokenId } from '../revocation/session-caller.ts';
import { claimToken } from '../store/installation.ts';
import type { SessionsTable } from '../store/schema.ts';
import { endBrowserSession, listBrowserSessions, listSessionsOfProvider } from '../store/sessions.ts';
import {
  type LogoutToken,
  type LogoutTokenDeps,
  MAX_LOGOUT_TOKEN_AGE_S,
  verifyLogoutToken,
} from './logout-token.ts';
import { sessionNote } from './sessions.ts';

/** What {@link endByProvider} needs. */
export interface ProviderLogoutDeps extends LogoutTokenDeps {
  control: ControlDeps;
  log: IdentityLog;
}

/** Longer than any token works that was issued before a logout, in milliseconds. */
const REVOKED_FOR_MS = (MAX_TOKEN_AGE_S + LEEWAY_S) * 1000;

/**
 * Back-channel logout: what a provider says has ended, ends here at once, on every broker, together with the tokens of
 * that session that are still on their way (they carry the same `sid`). Where the provider names no session, all of
 * that person's end, and all tokens that were issued before.
 *
 * @throws BrokerError `token_invalid` for a logout token that is not accepted; the log has the reason
 * @throws BrokerError `issuer_unavailable`, `not_recorded`
 * @see OpenID Connect Back-Channel Logout 1.0
 */
export async function endByProvider(
  deps: ProviderLogoutDeps,
  { token, http_request_id }: { token: string; http_request_id: string | null },
): Promise<void> {
  try {
    const logout = await verifyLogoutToken(deps, token);
    const call = { principal: unseenHolder(logout), credential: null, http_request_id };
    await write(deps.control, call, (writing) => endSessions(writing, logout));
  } catch (error) {
    if (!(error instanceof TokenRefused)) throw error;
    deps.log.warn({ reason: error.reason, note: error.note }, 'logout token refused');
    throw new BrokerError('token_invalid', 'The logout token was not accepted.', {}, error);
  }
}

async function endSessions(writing: WriteContext, logout: LogoutToken): Promise<null> {
  const { tx, now_ms } = writing;
  const claim = {
    issuer: `logout:${logout.issuer.issuer}`,
    jti: logout.token_id,
    expires_ms: logout.issued_ms + (MAX_LOGOUT_TOKEN_AGE_S + 2 * LEEWAY_S) * 1000,
  };
  if (!(await claimToken(tx, claim))) throw new TokenRefused('replayed');
  const sessions = await findSessions(writing, logout);
  const open = sessions.filter(({ ended_ms }) => ended_ms === null);
  // Whose session it was is best known from those that were opened here, even if all of them have ended.
  const known = open.length > 0 ? open : sessions.slice(0, 1);
  const endings = known.map((row) => ({ holder: principalOfRow(row), note: sessionNote(row.id) }));
  if (endings.length === 0) endings.push({ holder: writing.call.principal, note: unknownNote(logout) });
  for (const { holder, note } of endings) {
    await authorizeEnd(heldBy(writing, holder), { operation: 'session.end', note });
  }
  for (const { id } of open) await endBrowserSession(tx, id, { ended_ms: now_ms, end_reason: 'logout' });
  const { holder } = endings[0] ?? { holder: writing.call.principal };
  for (const order of ordersOf(logout, open, now_ms)) await revoke(heldBy(writing, holder), order);
  return null;
}

/** The same write, on behalf of whom the provider speaks of. */
function heldBy(writing: WriteContext, principal: Principal): WriteContext {
  return { ...writing, call: { ...writing.call, principal } };
}

function unknownNote({ sid }: LogoutToken): Reason {
  const which = sid === null ? 'all of its sessions' : 'a session';
  return { code: 'logout', detail: `The provider ended ${which}; none was open here.` };
}

/**
 * The sessions that came from the one that ended. Where the ID token did not say which that was, it may have been this
 * one: then all such sessions of the person count.
 */
async function findSessions(
  { tx }: WriteContext,
  { issuer, sid, sub }: LogoutToken,
): Promise<SessionsTable[]> {
  const own = sub === null ? [] : await listBrowserSessions(tx, personId(issuer.key, sub));
  if (sid === null) return own;
  const named = await listSessionsOfProvider(tx, issuer.issuer, sid);
  return [...own.filter(isUnnamed), ...named];
}

/** Whether nobody knows which session at the provider it came from. */
function isUnnamed({ sid }: SessionsTable): boolean {
  return sid === null;
}

/** What a logout revokes: tokens of that session for as long as any could live; or all of a person's from before now. */
function ordersOf(
  { issuer, sid, sub }: LogoutToken,
  ended: readonly SessionsTable[],
  nowMs: number,
): RevocationOrder[] {
  const why = { cause: 'logout', incident: '', reason: 'The identity provider ended the session.' } as const;
  if (sid === null) {
    const value = personId(issuer.key, sub ?? '');
    return [{ ...why, kind: 'subject', value, issued_before_ms: nowMs, expires_ms: null }];
  }
  const session = {
    ...why,
    kind: 'session',
    issued_before_ms: null,
    expires_ms: nowMs + REVOKED_FOR_MS,
  } as const;
  // Those without a name at the provider have only ours.
  const unnamed = ended.filter(isUnnamed).map(({ id }) => ({ ...session, value: sessionTokenId(id) }));
  return [{ ...session, value: nameAtIssuer(issuer.issuer, sid) }, ...unnamed];
}

/** Somebody whom the provider names and who has opened no session here: all that is known is the name. */
function unseenHolder({ issuer, sid, sub }: LogoutToken): Principal {
  return {
    id: personId(issuer.key, sub ?? `(holder of session ${sid})`),
    kind: 'person',
    person: null,
    issuer: issuer.issuer,
    groups: [],
    claims: {},
    auth: { level: 0, acr: null, amr: [], auth_time_ms: null },
    token: { audience: 'control', scope: [], sender_constrained: false, trust_rule: null },
  };
}
