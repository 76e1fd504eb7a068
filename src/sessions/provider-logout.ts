import { authorizeEnd } from '../decide/authorize.ts';
import type { CallIds, ControlDeps, WriteContext } from '../decide/control.ts';
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

/** Longer than the life of any token issued before a logout, in milliseconds. */
const REVOKED_FOR_MS = (MAX_TOKEN_AGE_S + LEEWAY_S) * 1000;

/**
 * Back-channel logout. A session that ended at the provider ends here immediately, on every broker, together with the
 * tokens of that session (they have the same `sid`). If the provider names no session, all sessions of the person end,
 * and all their tokens issued before.
 *
 * @throws BrokerError `token_invalid` for a refused logout token; the log has the reason
 * @throws BrokerError `issuer_unavailable`, `not_recorded`
 * @see OpenID Connect Back-Channel Logout 1.0
 */
export async function endByProvider(
  deps: ProviderLogoutDeps,
  { token, ids }: { token: string; ids: CallIds },
): Promise<void> {
  try {
    const logout = await verifyLogoutToken(deps, token);
    const call = { principal: unseenHolder(logout), credential: null, ...ids };
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
  // The sessions opened here are the best source for the session's owner, even if all of them have ended.
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

/** The same write, on behalf of the principal whom the provider names. */
function heldBy(writing: WriteContext, principal: Principal): WriteContext {
  return { ...writing, call: { ...writing.call, principal } };
}

function unknownNote({ sid }: LogoutToken): Reason {
  const which = sid === null ? 'all of its sessions' : 'a session';
  return { code: 'logout', detail: `The provider ended ${which}. No session was open here.` };
}

/**
 * The sessions that belong to the ended session at the provider. Sessions whose ID token named no `sid` may belong to
 * it, so all such sessions of the person are included.
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

/** Whether the session's `sid` at the provider is unknown. */
function isUnnamed({ sid }: SessionsTable): boolean {
  return sid === null;
}

/**
 * The revocations of a logout: the tokens of the session until all have expired, or all tokens of the person issued
 * before now.
 */
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
  // Sessions without a `sid` at the provider have only our session id.
  const unnamed = ended.filter(isUnnamed).map(({ id }) => ({ ...session, value: sessionTokenId(id) }));
  return [{ ...session, value: nameAtIssuer(issuer.issuer, sid) }, ...unnamed];
}

/** A principal whom the provider names but who has opened no session here. Only the name is known. */
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
