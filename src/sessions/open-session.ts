import { authorize } from '../decide/authorize.ts';
import type { CallIds, ControlDeps, WriteContext } from '../decide/control.ts';
import { Refused } from '../decide/refused.ts';
import { write } from '../decide/write.ts';
import { type Caller, nameAtIssuer } from '../identity/credential.ts';
import { personId } from '../identity/person.ts';
import type { Principal } from '../principal.ts';
import { endBrowserSession, findBrowserSession, insertBrowserSession } from '../store/sessions.ts';
import { endForGood } from './end-session.ts';
import type { WebIssuer } from './providers.ts';
import { createSecret, hashOf } from './secrets.ts';
import { type Sessions, sessionNote } from './sessions.ts';

/** The maximum stored length of a `User-Agent`, by which people recognize their sessions. */
const MAX_USER_AGENT = 200;

/** A completed sign-in and its browser. */
export interface NewSession {
  /** The principal of the ID token. */
  caller: Caller;
  issuer: WebIssuer;
  formerSecret: string | null;
  userAgent: string;
  ids: CallIds;
}

/**
 * Opens a session. The decision by policy, its record and the end of the browser's previous session are one
 * transaction. The secret is always new, which prevents session fixation.
 *
 * @returns the secret, of which the store has only the hash
 * @throws BrokerError `policy_denied`; `token_invalid` for a revoked principal
 */
export async function openSession(
  { control, sessions }: { control: ControlDeps; sessions: Sessions },
  { caller, issuer, formerSecret, userAgent, ids }: NewSession,
): Promise<string> {
  const secret = createSecret();
  return write(control, { ...caller, ...ids }, async (writing) => {
    const { tx, now_ms } = writing;
    const id = control.newId(now_ms);
    const authorized = await authorize(writing, { operation: 'session.open', note: sessionNote(id) });
    if (authorized instanceof Refused) return authorized;
    const principal = signedInAt(caller.principal, now_ms);
    await insertBrowserSession(tx, {
      id,
      secret_hash: hashOf(secret),
      issuer: issuer.issuer,
      issuer_key: issuer.key,
      sub: principal.id.slice(personId(issuer.key, '').length),
      sid: sidOf(caller),
      principal_id: principal.id,
      person: principal.person,
      principal: JSON.stringify(principal),
      user_agent: userAgent.slice(0, MAX_USER_AGENT),
      opened_ms: now_ms,
      seen_ms: now_ms,
      expires_ms: sessions.endOf(now_ms),
      ended_ms: null,
      end_reason: null,
    });
    if (formerSecret !== null) await endFormer(writing, formerSecret, principal.id);
    return secret;
  });
}

/**
 * The delegations remain when the same person signs in again. They end when another person signs in with this browser.
 */
async function endFormer(writing: WriteContext, formerSecret: string, principalId: string): Promise<void> {
  const { tx, now_ms } = writing;
  const former = await findBrowserSession(tx, hashOf(formerSecret));
  if (former === undefined) return;
  if (former.principal_id !== principalId) await endForGood(writing, former, 'rotated');
  else await endBrowserSession(tx, former.id, { ended_ms: now_ms, end_reason: 'rotated' });
}

/** The principal that the session represents. */
function signedInAt(principal: Principal, openedMs: number): Principal {
  return { ...principal, token: { ...principal.token, issued_ms: openedMs } };
}

/** The provider's session id (`sid`): the part of the credential's session after the issuer. */
function sidOf({ credential }: Caller): string | null {
  return credential.session?.slice(nameAtIssuer(credential.issuer, '').length) ?? null;
}
