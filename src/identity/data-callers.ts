import type { Principal } from '../principal.ts';
import { createConnectionMemory } from './connection-memory.ts';
import type { Caller, VerifiedToken } from './credential.ts';
import { dataEnvironmentOf } from './issued-token.ts';
import type { ProofCheck } from './proof-check.ts';
import { type IdentityLog, refusalTold, type Scheme, TokenRefused } from './refusal.ts';
import type { Revocation } from './revocations.ts';
import { type DataCredentials, dataToken, type ShownToken } from './shown-token.ts';
import type { TokenCache } from './token-cache.ts';

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

/**
 * Authenticates tokens with the audience `data:<environment>`. A cached token returns synchronously, because a promise would
 * cost each read a turn of the event loop. One that its connection sent before is not even hashed.
 *
 * @returns a function that throws BrokerError `unauthenticated` without credentials, `token_invalid`, and what `verify` throws
 */
export function createDataCallers(
  deps: DataCallersDeps,
): (credentials: DataCredentials) => DataCaller | Promise<DataCaller> {
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

  return (credentials) => {
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
