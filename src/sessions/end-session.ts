import { authorizeEnd } from '../decide/authorize.ts';
import type { Call, ControlDeps, WriteContext } from '../decide/control.ts';
import { write } from '../decide/write.ts';
import { LEEWAY_S } from '../identity/verify-token.ts';
import { addRevocation } from '../revocation/add.ts';
import { sessionTokenId } from '../revocation/session-caller.ts';
import type { SessionsTable } from '../store/schema.ts';
import {
  endBrowserSession,
  listBrowserSessions,
  listFormerSessions,
  type SessionEnd,
} from '../store/sessions.ts';
import { unknownName } from '../unknown-name.ts';
import { sessionNote } from './sessions.ts';

/**
 * Ends one of the caller's own sessions. The decision is recorded. To end the sessions of others, revoke them.
 *
 * @throws BrokerError `not_found` for a session that belongs to another principal or has ended
 */
export async function endSession(
  control: ControlDeps,
  call: Call,
  { id, reason }: { id: string; reason: SessionEnd },
): Promise<void> {
  await write(control, call, async (writing) => {
    const own = await listBrowserSessions(writing.tx, call.principal.id);
    const session = own.find((row) => row.id === id);
    if (session === undefined) {
      throw unknownName({
        what: 'open session',
        name: id,
        more: 'GET /v1/sessions lists yours; POST /v1/revocations ends those of others.',
      });
    }
    await authorizeEnd(writing, { operation: 'session.end', note: sessionNote(id) });
    await endForGood(writing, session, reason);
    return null;
  });
}

/**
 * Ends a session. In-flight requests of it are refused, and so are delegations from it or from the sessions that it
 * replaced.
 */
export async function endForGood(
  writing: WriteContext,
  session: SessionsTable,
  reason: SessionEnd,
): Promise<void> {
  const { tx, now_ms } = writing;
  if (!(await endBrowserSession(tx, session.id, { ended_ms: now_ms, end_reason: reason }))) return;
  const chain = [session];
  for (const link of chain) {
    await revokeSession(writing, link);
    chain.push(...(await listFormerSessions(tx, link)));
  }
}

async function revokeSession(writing: WriteContext, { id, expires_ms }: SessionsTable): Promise<void> {
  await addRevocation(writing, {
    kind: 'session',
    value: sessionTokenId(id),
    issued_before_ms: null,
    incident: '',
    reason: 'The session was ended by its owner.',
    cause: 'holder',
    expires_ms: expires_ms + LEEWAY_S * 1000,
  });
}
