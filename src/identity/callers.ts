import { BrokerError } from '../errors.ts';
import type { Lane } from '../operations.ts';
import type { Principal } from '../principal.ts';
import type { Authenticator } from './authenticate.ts';
import type { Caller, RequestCredentials } from './credential.ts';
import { type IdentityLog, schemeOf, TokenRefused, tokenInvalid } from './refusal.ts';
import type { CallerChecks } from './revocations.ts';

/** What {@link createCallers} needs. */
export interface CallerDeps<Db> {
  authenticator: Pick<Authenticator, 'authenticate'>;
  /** Browser sessions: the caller of a cookie, null without one. */
  sessions: { callerOf(presented: RequestCredentials): Promise<Caller | null> };
  revocations: { latest(): Pick<CallerChecks<Db>, 'hit'> };
  read: Db;
  /** Emergencies have their own limit: calls of other kinds never use it up. */
  limitCalls: Record<Lane, (principalId: string) => Promise<void>>;
  turnedAway: (code: string) => void;
  /** Called for every authenticated caller. */
  seen: (principal: Principal) => void;
  log: IdentityLog;
}

/**
 * Authenticates callers of the control and audit plane: verifies the session or token, then checks revocations, then
 * the caller's rate limit.
 *
 * @returns a function that throws BrokerError `unauthenticated`, `token_invalid`, `cross_site`, `issuer_unavailable`, `rate_limited`
 */
export function createCallers<Db>(
  deps: CallerDeps<Db>,
): (presented: RequestCredentials, lane?: Lane) => Promise<Caller> {
  const { authenticator, sessions, revocations, read, log } = deps;

  async function identify(presented: RequestCredentials): Promise<Caller> {
    const caller = (await sessions.callerOf(presented)) ?? (await authenticator.authenticate(presented));
    const hit = await revocations.latest().hit(read, caller);
    if (hit === null) return caller;
    log.warn({ reason: 'revoked', note: hit.kind, revocation: hit.id }, 'token refused');
    throw tokenInvalid(new TokenRefused('revoked', hit.kind), schemeOf(caller.credential));
  }

  return async (presented, lane = 'ordinary') => {
    try {
      const caller = await identify(presented);
      await deps.limitCalls[lane](caller.principal.id);
      deps.seen(caller.principal);
      return caller;
    } catch (error) {
      // Unauthenticated calls are counted and logged but never recorded, so they cannot fill the decision log.
      if (error instanceof BrokerError && error.code !== 'rate_limited') deps.turnedAway(error.code);
      throw error;
    }
  };
}
