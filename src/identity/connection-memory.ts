import type { VerifiedToken } from './credential.ts';
import type { DataCredentials } from './shown-token.ts';
import type { CachedToken, TokenCache } from './token-cache.ts';

/** A caller whom a connection has shown, and what is cached of their token. */
export interface KnownCaller<Caller> {
  readonly cached: CachedToken<VerifiedToken>;
  readonly caller: Caller;
}

/** The last bearer token of each connection, as its header was sent, and whose it is. */
export interface ConnectionMemory<Caller> {
  /** The caller, if the connection sends the same headers as before, and their token is still in the cache's time. */
  find(credentials: DataCredentials): KnownCaller<Caller> | undefined;
  /** Remembers the caller of a token without a bound key. */
  keep(credentials: DataCredentials, known: KnownCaller<Caller>): void;
}

/**
 * Remembers callers by connection. An application sends the same header with every request, and hashing the token costs
 * as much as evaluating a flag.
 *
 * A header is a secret, so it is not put into a list: it is held by its own connection only, one for each, and goes with
 * it. Nobody can find the caller of another connection here, and nothing outlasts who sent it. A hash that is cheap enough
 * would not do in its place, because somebody could make another header of the same hash. Equal headers have equal
 * tokens, so what was verified holds as long as it does in the cache. A proof is for one request, so it is never
 * remembered, and neither are tokens that require one. Revocations are the caller's to check, each time.
 */
export function createConnectionMemory<Caller>(
  cache: Pick<TokenCache<VerifiedToken>, 'isCurrent'>,
): ConnectionMemory<Caller> {
  const shown = new WeakMap<
    object,
    KnownCaller<Caller> & Pick<DataCredentials, 'authorization' | 'apiKey'>
  >();
  return {
    find({ connection, authorization, apiKey, dpop }) {
      if (connection === undefined || dpop !== undefined) return undefined;
      const last = shown.get(connection);
      if (last === undefined || last.authorization !== authorization || last.apiKey !== apiKey)
        return undefined;
      return cache.isCurrent(last.cached) ? last : undefined;
    },
    keep({ connection, authorization, apiKey }, { cached, caller }) {
      if (connection !== undefined) shown.set(connection, { cached, caller, authorization, apiKey });
    },
  };
}
