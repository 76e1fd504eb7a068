import type { z } from 'zod';
import type { WriteContext } from '../decide/control.ts';
import type { Refused } from '../decide/refused.ts';
import { findOwnSession, isOpen } from '../emergency/break-glass.ts';
import { BrokerError } from '../errors.ts';
import { flagChangeContentSchema } from './kinds/flag-change.ts';
import { propose } from './propose.ts';
import type { Settlement } from './settle.ts';

/** The body of `POST /v1/break-glass/{id}/apply`: changes that are applied at once or refused. */
export const breakglassChangeSchema = flagChangeContentSchema
  .pick({ environment: true, changes: true })
  .meta({ id: 'BreakGlassChange' });
export type BreakglassChange = z.infer<typeof breakglassChangeSchema>;

/**
 * Applies changes in a break-glass session, at once or not at all. Only safer changes pass.
 *
 * @returns the applied request, or the refusal with its record appended
 * @throws BrokerError `not_found` if the session is not the caller's, `state_conflict` if it has ended
 */
export async function applyInSession(
  writing: WriteContext,
  sessionId: string,
  change: BreakglassChange,
): Promise<Settlement | Refused> {
  const session = await findOwnSession(writing, sessionId);
  if (!isOpen(session, writing.now_ms)) {
    throw new BrokerError('state_conflict', 'This break-glass session has ended. Open a new one.');
  }
  return propose(
    writing,
    {
      kind: 'flag.change',
      ...change,
      reason: session.reason,
      ticket: session.incident,
      apply: 'auto',
      start_ms: null,
    },
    'breakglass.apply',
  );
}
