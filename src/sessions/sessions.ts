import type { Clock } from '../clock.ts';
import { BrokerError } from '../errors.ts';
import type { Caller, Credential, RequestCredentials } from '../identity/credential.ts';
import type { IdentityLog } from '../identity/refusal.ts';
import type { IssuerConfig } from '../issuers/issuers.ts';
import type { Principal } from '../principal.ts';
import type { Reason } from '../reason.ts';
import { callerOfRow, sessionTokenId, TOKEN_ID_PREFIX } from '../revocation/session-caller.ts';
import { hasBegun } from '../store/batch.ts';
import type { SessionsTable } from '../store/schema.ts';
import {
  findBrowserSession,
  listBrowserSessions,
  listBrowserSessionsAmong,
  touchBrowserSession,
} from '../store/sessions.ts';
import type { Store } from '../store/store.ts';
import { hasCookie, readSecret, SESSION_COOKIE } from './cookies.ts';
import { assertSameOrigin } from './cross-site.ts';
import { hashOf } from './secrets.ts';

/*
 * Browser sessions of people, from the sign-in at a provider to the logout here or there. The store has only hashes of
 * the secrets.
 */

/** The maximum interval at which the last use of a session is stored, in milliseconds. */
const SEEN_GRAIN_MS = 60_000;

/** What {@link createSessions} needs. */
export interface SessionsDeps {
  store: Store;
  issuers: readonly IssuerConfig[];
  /** The origin of pages and cookies. */
  publicUrl: string;
  /** The idle timeout and the maximum lifetime of a session. */
  limits: { idle_minutes: number; absolute_hours: number };
  clock: Clock;
  log: IdentityLog;
}

/** Browser sessions. Their whole state is in the store, so all brokers share it and it survives restarts. */
export interface Sessions {
  /**
   * The principal of a request's session, or null without a session. The caller must check revocations.
   *
   * @throws BrokerError `unauthenticated` for an expired session, or one of an issuer without browser sign-in;
   *   `invalid_request` beside an Authorization header; `cross_site`
   */
  callerOf(presented: RequestCredentials): Promise<Caller | null>;
  /** The session of a cookie's secret, if it is still open. */
  findOpen(secret: string | null): Promise<SessionsTable | undefined>;
  /** The issuer of a cookie's session, even if expired; null for an unknown session. */
  issuerOf(secret: string | null): Promise<string | null>;
  /** The principal's open sessions, newest first. */
  listOpen(principal: Principal): Promise<SessionsTable[]>;
  /** Of the sessions behind these credentials ({@link Credential.token_id}) those that are still open. */
  stillOpen(tokenIds: readonly string[]): Promise<ReadonlySet<string>>;
  /** The latest end of a session opened at that moment. */
  endOf(openedMs: number): number;
}

/** Creates the read side of sessions. {@link ./sign-in.ts} creates sessions. */
export function createSessions(deps: SessionsDeps): Sessions {
  const { store, issuers, clock, log } = deps;
  const idleMs = deps.limits.idle_minutes * 60_000;
  // The interval must be shorter than the idle timeout. Otherwise a session in use would expire.
  const grainMs = Math.min(SEEN_GRAIN_MS, idleMs / 10);
  const absoluteMs = deps.limits.absolute_hours * 3_600_000;

  /** A session that was opened or seen in the future would outlive its limits after the clock was set back. */
  const isOpen = (row: SessionsTable, nowMs: number): boolean =>
    row.ended_ms === null &&
    hasBegun(row.opened_ms, nowMs) &&
    hasBegun(row.seen_ms, nowMs) &&
    nowMs < row.expires_ms &&
    nowMs < row.seen_ms + idleMs;

  /** A session counts only while its issuer is configured for browser sign-in. */
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

  /** Only the idle timeout depends on this write, so its failure must not fail a read. */
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
      // RFC 6750 section 2 allows only one method. Otherwise two readers could see two callers.
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
    stillOpen: async (tokenIds) => {
      const ids = tokenIds.flatMap((token_id) => sessionIdOf({ token_id }) ?? []);
      const rows = await listBrowserSessionsAmong(store.read, ids);
      const nowMs = clock();
      const open = rows.filter((row) => isOpen(row, nowMs) && isOfIssuer(row));
      return new Set(open.map(({ id }) => sessionTokenId(id)));
    },
    endOf: (openedMs) => openedMs + absoluteMs,
  };
}

/** The note that names the session of a record. */
export function sessionNote(id: string): Reason {
  return { code: 'session', detail: id };
}

/** The session id of a credential, or null for a token. */
export function sessionIdOf({ token_id }: Pick<Credential, 'token_id'>): string | null {
  return token_id.startsWith(TOKEN_ID_PREFIX) ? token_id.slice(TOKEN_ID_PREFIX.length) : null;
}

function sessionOver(): BrokerError {
  return new BrokerError(
    'unauthenticated',
    'The session has expired or is unknown. Sign in at /auth/sign-in.',
  );
}
