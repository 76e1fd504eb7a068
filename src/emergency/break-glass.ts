import { z } from 'zod';
import { authorize } from '../decide/authorize.ts';
import type { Call, ControlDeps, WriteContext } from '../decide/control.ts';
import { Refused } from '../decide/refused.ts';
import { BrokerError } from '../errors.ts';
import { textSchema } from '../flags/names.ts';
import { epochMs } from '../moment.ts';
import { resolvePerson } from '../policy/persons.ts';
import { closeSession, findSession, insertSession } from '../store/emergency.ts';
import type { BreakglassSessionsTable } from '../store/schema.ts';
import { unknownName } from '../unknown-name.ts';
import { countRecentSessions, findOpenSession, toInputSession } from './state.ts';

/** The lifetime of a session if the policy sets no `breakglass_ttl_s`: fifteen minutes. */
const DEFAULT_TTL_S = 15 * 60;

/** The body of `POST /v1/break-glass`. */
export const openSessionSchema = z.strictObject({ incident: textSchema(200), reason: textSchema(2000) });

/** A break-glass session in an answer. */
export const breakglassViewSchema = z
  .object({
    id: z.string(),
    person: z.string(),
    incident: z.string(),
    reason: z.string(),
    opened_ms: epochMs,
    expires_ms: epochMs,
    closed_ms: epochMs.nullable(),
  })
  .meta({ id: 'BreakGlassSession' });
export type BreakglassView = z.infer<typeof breakglassViewSchema>;

/**
 * Opens a break-glass session for the caller: limited emergency access for minutes, after a recent strong sign-in.
 *
 * @returns the session, or the refusal with its record appended
 * @throws BrokerError `state_conflict` if the person already has an open session
 */
export async function open(
  writing: WriteContext,
  order: z.infer<typeof openSessionSchema>,
): Promise<BreakglassView | Refused> {
  const { tx, call, now_ms, deps } = writing;
  const person = call.principal.person ?? call.principal.id;
  const present = await findOpenSession(tx, person, writing);
  if (present !== undefined) {
    throw new BrokerError(
      'state_conflict',
      'You already have an open break-glass session; use it or close it.',
      {
        extra: { session: present.id },
      },
    );
  }
  const draft = { id: deps.newId(now_ms), opened_ms: now_ms, expires_ms: now_ms, ...order };
  const authorized = await authorize(writing, {
    operation: 'breakglass.open',
    emergency: { breakglass: draft, breakglass_recent: await countRecentSessions(tx, person, writing) },
  });
  if (authorized instanceof Refused) return authorized;
  const ttlMs = (authorized.decision.limits.breakglass_ttl_s ?? DEFAULT_TTL_S) * 1000;
  const row: BreakglassSessionsTable = {
    ...draft,
    expires_ms: now_ms + ttlMs,
    person,
    principal: JSON.stringify(call.principal),
    closed_ms: null,
  };
  await insertSession(tx, row);
  return toBreakglassView(row);
}

/**
 * Closes the caller's session early.
 *
 * @returns the closed session, or the refusal with its record appended
 * @throws BrokerError `not_found` if the session is not the caller's
 */
export async function close(writing: WriteContext, sessionId: string): Promise<BreakglassView | Refused> {
  const session = await findOwnSession(writing, sessionId);
  const authorized = await authorize(writing, {
    operation: 'breakglass.close',
    emergency: { breakglass: toInputSession(session) },
  });
  if (authorized instanceof Refused) return authorized;
  if (session.closed_ms !== null) return toBreakglassView(session);
  await closeSession(writing.tx, session.id, writing.now_ms);
  return toBreakglassView({ ...session, closed_ms: writing.now_ms });
}

/** Whether a session is the caller's own, under whatever name it was opened. */
export async function ownSessions(
  { policies, store }: ControlDeps,
  { principal }: Call,
): Promise<(session: BreakglassSessionsTable) => boolean> {
  const policy = await policies.active(store.read);
  const caller = resolvePerson(policy, principal.person ?? principal.id);
  return ({ person }) => resolvePerson(policy, person) === caller;
}

/**
 * The caller's own session, ended or not.
 *
 * @throws BrokerError `not_found` if the session is not the caller's
 */
export async function findOwnSession(
  { tx, call, policy }: WriteContext,
  id: string,
): Promise<BreakglassSessionsTable> {
  const session = await findSession(tx, id);
  const caller = resolvePerson(policy, call.principal.person ?? call.principal.id);
  if (session === undefined || resolvePerson(policy, session.person) !== caller) {
    throw unknownName({ what: 'break-glass session', name: id, more: 'Each is of one person.' });
  }
  return session;
}

/** Whether a session gives its power at that time. One that was opened in the future would outlive its end. */
export function isOpen(
  {
    opened_ms,
    expires_ms,
    closed_ms,
  }: Pick<BreakglassSessionsTable, 'opened_ms' | 'expires_ms' | 'closed_ms'>,
  nowMs: number,
): boolean {
  return closed_ms === null && opened_ms <= nowMs && nowMs < expires_ms;
}

/** Converts a session row to its answer. */
export function toBreakglassView(row: BreakglassSessionsTable): BreakglassView {
  const { principal: _, ...view } = row;
  return view;
}
