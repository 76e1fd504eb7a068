import type { Clock } from '../clock.ts';
import { BrokerError } from '../errors.ts';
import type { Caller, Credential, RequestCredentials } from '../identity/credential.ts';
import type { IdentityLog } from '../identity/refusal.ts';
import type { IssuerConfig } from '../issuers/issuers.ts';
import type { Principal } from '../principal.ts';
import type { Reason } from '../reason.ts';
import { callerOfRow, TOKEN_ID_PREFIX } from '../revocation/session-caller.ts';
import type { Store } from '../store/database.ts';
import type { SessionsTable } from '../store/schema.ts';
import { findBrowserSession, listBrowserSessions, touchBrowserSession } from '../store/sessions.ts';
import { hasCookie, readSecret, SESSION_COOKIE } from './cookies.ts';
import { assertSameOrigin } from './cross-site.ts';
import { hashOf } from './secrets.ts';

/*
 * Sessions: people in browsers, from the sign-in at a provider to either kind of logout. The store knows secrets by their
 * hash alone.
 */

/** How much later, at most, a use has to be than the last one to be written down, in milliseconds. */
const SEEN_GRAIN_MS = 60_000;

/** What {@link createSessions} needs. */
export interface SessionsDeps {
  store: Store;
  issuers: readonly IssuerConfig[];
  /** The origin that pages and cookies belong to. */
  publicUrl: string;
  /** How long a session lasts without a request, and at most. */
  limits: { idle_minutes: number; absolute_hours: number };
  clock: Clock;
  log: IdentityLog;
}

/** Browser sessions. All that they are is in the store, so each broker on it knows them, and a restart forgets none. */
export interface Sessions {
  /**
   * Who a request's session stands for, or null when it brings none. Whether they are revoked is for the caller to ask.
   *
   * @throws BrokerError `unauthenticated` for a session that is over, or of no issuer that people sign in at now;
   *   `invalid_request` beside an Authorization header; `cross_site`
   */
  callerOf(presented: RequestCredentials): Promise<Caller | null>;
  /** The session of a cookie's secret, if it goes on at this moment. */
  findOpen(secret: string | null): Promise<SessionsTable | undefined>;
  /** The issuer that the session of a cookie's secret came from, also when it is over; null for one that nobody knows. */
  issuerOf(secret: string | null): Promise<string | null>;
  /** The principal's sessions that go on at this moment, newest first. */
  listOpen(principal: Principal): Promise<SessionsTable[]>;
  /** When a session that is opened at that moment ends at the latest. */
  endOf(openedMs: number): number;
}

/** Creates the reading side of sessions; {@link ./sign-in.ts} makes them. */
export function createSessions(deps: SessionsDeps): Sessions {
  const { store, issuers, clock, log } = deps;
  const idleMs = deps.limits.idle_minutes * 60_000;
  // Were it as long as the idle time, a session in use would end for want of it.
  const grainMs = Math.min(SEEN_GRAIN_MS, idleMs / 10);
  const absoluteMs = deps.limits.absolute_hours * 3_600_000;

  const isOpen = (row: SessionsTable, nowMs: number): boolean =>
    row.ended_ms === null && nowMs < row.expires_ms && nowMs < row.seen_ms + idleMs;

  /** An issuer that is configured no more, or not for browsers, vouches for nobody. */
  const isOfIssuer = (row: SessionsTable): boolean =>
    issuers.some(
      ({ key, issuer, web }) => web !== undefined && key === row.issuer_key && issuer === row.issuer,
    );

  const find = async (secret: string | null): Promise<SessionsTable | undefined> =>
    secret === null ? undefined : findBrowserSession(store.read, hashOf(secret));

  async function findOpen(secret: string | null): Promise<SessionsTable | undefined> {
    const row = await find(secret);
    return row !== undefined && isOpen(row, clock()) && isOfIssuer(row) ? row : undefined;
  }

  /** Only how long it may stay idle hangs on it, so whatever keeps it from being written keeps no read from going on. */
  async function touch({ id, seen_ms }: SessionsTable, nowMs: number): Promise<void> {
    if (nowMs < seen_ms + grainMs) return;
    await store.writer
      .write((tx) => touchBrowserSession(tx, id, nowMs))
      .catch((error: unknown) => {
        if (error instanceof BrokerError) {
          log.warn({ session: id, code: error.code }, 'the use of a session was not noted');
        } else log.error({ session: id, err: error }, 'the use of a session was not noted');
      });
  }

  return {
    callerOf: async (presented) => {
      if (!hasCookie(presented.cookie, SESSION_COOKIE)) return null;
      // RFC 6750 section 2: not more than one method. Choosing one would let two readers see two callers.
      if (presented.authorization !== undefined || presented.dpop.length > 0) {
        throw new BrokerError(
          'invalid_request',
          'Send a session cookie or an Authorization header, not both.',
        );
      }
      assertSameOrigin(presented, deps.publicUrl);
      const row = await findOpen(readSecret(presented.cookie, SESSION_COOKIE));
      if (row === undefined) throw sessionOver();
      await touch(row, clock());
      return callerOfRow(row);
    },
    findOpen,
    issuerOf: async (secret) => (await find(secret))?.issuer ?? null,
    listOpen: async (principal) => {
      const nowMs = clock();
      const rows = await listBrowserSessions(store.read, principal.id);
      return rows.filter((row) => isOpen(row, nowMs));
    },
    endOf: (openedMs) => openedMs + absoluteMs,
  };
}

/** Which session a record is about. */
export function sessionNote(id: string): Reason {
  return { code: 'session', detail: id };
}

/** The id of the session that a credential is, or null for a token. */
export function sessionIdOf({ token_id }: Pick<Credential, 'token_id'>): string | null {
  return token_id.startsWith(TOKEN_ID_PREFIX) ? token_id.slice(TOKEN_ID_PREFIX.length) : null;
}

function sessionOver(): BrokerError {
  return new BrokerError(
    'unauthenticated',
    'The session is over, or not known here. Sign in at /auth/sign-in.',
  );
}
