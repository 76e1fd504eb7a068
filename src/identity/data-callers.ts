import type { Principal } from '../principal.ts';
import { createConnectionMemory } from './connection-memory.ts';
import type { Caller, VerifiedToken } from './credential.ts';
import { dataEnvironmentOf } from './issued-token.ts';
import type { ProofCheck } from './proof-check.ts';
import { type IdentityLog, refusalTold, type Scheme, TokenRefused } from './refusal.ts';
import type { Revocation } from './revocations.ts';
import { type DataCredentials, dataToken, type ShownToken } from './shown-token.ts';
import type { TokenCache } from './token-cache.ts';
import { LEEWAY_S } from './verify-token.ts';

/** A flag reader and its scope: one environment, and some or all (`*`) of its namespaces. */
export interface DataCaller {
  environment: string;
  namespaces: readonly string[];
  principal: Principal;
  /** When the token expires. */
  expires_ms: number;
  /** Whether it is still not revoked, for what lasts longer than a request. Never waits. */
  mayGoOn: () => boolean;
}

/** A flag reader whose connection goes on after the token was verified. */
export interface FollowedCaller {
  caller: DataCaller;
  /** When the token is no longer accepted. */
  endsAtMs: number;
  /** Whether the token is not revoked, as far as is known without waiting. */
  mayGoOn(): boolean;
}

/** Authenticates flag readers. */
export interface DataCallers {
  /**
   * Authenticates a token with the audience `data:<environment>`. A cached token returns synchronously, because a promise
   * would cost each read a turn of the event loop. One that its connection sent before is not even hashed.
   *
   * @throws BrokerError `unauthenticated` without credentials, `token_invalid`, and what `verify` throws
   */
  authenticate(credentials: DataCredentials): DataCaller | Promise<DataCaller>;
  /**
   * Verifies a token for a connection that stays open. No proof of a bound key is required: whoever asks has required it
   * before.
   *
   * @throws BrokerError `token_invalid`, and what `verify` throws
   */
  follow(token: string): Promise<FollowedCaller>;
}

type Hit = Pick<Revocation, 'kind'> | null;

/** The revocation that applies to a caller, without waiting where possible. */
export type FindRevocation = (caller: Caller) => Hit | Promise<Hit>;

/** What {@link createDataCallers} needs. */
export interface DataCallersDeps {
  cache: TokenCache<VerifiedToken>;
  /** Verifies a token, and keeps it in the cache. @throws TokenRefused, BrokerError */
  verify: (token: string, key: string) => VerifiedToken | Promise<VerifiedToken>;
  proofCheck: ProofCheck;
  revoked: FindRevocation;
  log: IdentityLog;
}

/** Creates the callers of one process. */
export function createDataCallers(deps: DataCallersDeps): DataCallers {
  const { cache, verify, proofCheck, revoked, log } = deps;
  const connections = createConnectionMemory<DataCaller>(cache);

  async function callerLater(
    pending: VerifiedToken | Promise<VerifiedToken>,
    sent: ShownToken,
    { dpop, method, target }: DataCredentials,
  ): Promise<DataCaller> {
    const shown = { dpop: dpop === undefined ? [] : [dpop], method, target };
    const verified = await proofCheck(await pending, sent, shown);
    return dataCallerOf(verified, await revoked(verified), revoked);
  }

  function authenticate(credentials: DataCredentials): DataCaller | Promise<DataCaller> {
    const known = connections.find(credentials);
    if (known !== undefined && revoked(known.cached.value) === null) return known.caller;
    let scheme: Scheme = 'Bearer';
    try {
      const sent = dataToken(credentials);
      ({ scheme } = sent);
      const key = cache.keyOf(sent.token);
      const cached = cache.find(key);
      const isPlain = scheme === 'Bearer' && credentials.dpop === undefined;
      if (isPlain && cached !== undefined && cached.value.jkt === null) {
        const hit = revoked(cached.value);
        if (!(hit instanceof Promise)) {
          const caller = dataCallerOf(cached.value, hit, revoked);
          connections.keep(credentials, { cached, caller });
          return caller;
        }
      }
      const verified = cached?.value ?? verify(sent.token, key);
      return callerLater(verified, sent, credentials).catch((error: unknown) => {
        throw refusalTold(error, scheme, log);
      });
    } catch (error) {
      throw refusalTold(error, scheme, log);
    }
  }

  return {
    authenticate,
    follow: async (token) => {
      try {
        const key = cache.keyOf(token);
        const verified = await (cache.find(key)?.value ?? verify(token, key));
        const caller = dataCallerOf(verified, await revoked(verified), revoked);
        // As long as it could be shown again.
        return { caller, endsAtMs: caller.expires_ms + LEEWAY_S * 1000, mayGoOn: caller.mayGoOn };
      } catch (error) {
        throw refusalTold(error, 'Bearer', log);
      }
    },
  };
}

/**
 * The reader that a verified token is.
 *
 * @throws TokenRefused `revoked`, or `audience_not_accepted` for a token that does not read an environment
 */
export function dataCallerOf(verified: VerifiedToken, hit: Hit, revoked: FindRevocation): DataCaller {
  if (hit !== null) throw new TokenRefused('revoked', hit.kind);
  const { principal, namespaces, credential } = verified;
  const environment = dataEnvironmentOf(principal.token.audience);
  if (environment === null) throw new TokenRefused('audience_not_accepted', principal.token.audience);
  const mayGoOn = () => {
    const found = revoked(verified);
    // While revocations are read, the last answer holds: it is asked again within a second.
    return found === null || found instanceof Promise;
  };
  return { environment, namespaces, principal, expires_ms: credential.expires_ms, mayGoOn };
}
