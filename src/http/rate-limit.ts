import { createHmac, randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { BrokerError } from '../errors.ts';
import type { ProblemCode } from '../problems.ts';
import { addressBlock } from './address-block.ts';

/**
 * Limits the calls per principal, so that nobody can flood the decision log.
 *
 * @param callsPerMinute 0 disables the limit
 * @returns a check that throws BrokerError `rate_limited` with `Retry-After` in seconds
 */
export function createRateLimit(callsPerMinute: number): (principalId: string) => Promise<void> {
  return limitTo(callsPerMinute, 'calls');
}

/** The maximum number of counters for all addresses together. */
const ADDRESS_COUNTERS = 65_536;

/**
 * Counts one attempt of the client of a request.
 *
 * @throws BrokerError `rate_limited` with `Retry-After` in seconds, above the limit
 */
export type CountAttempt<Client = IncomingMessage> = (client: Client) => Promise<void>;

/** The refusals of callers whose identity is missing, not valid, or not verified because the issuer is down. */
const WITHOUT_IDENTITY: readonly ProblemCode[] = ['unauthenticated', 'token_invalid', 'issuer_unavailable'];

/** True for the refusal of a caller who has shown no valid identity. */
export function isWithoutIdentity(error: unknown): boolean {
  return error instanceof BrokerError && WITHOUT_IDENTITY.includes(error.code);
}

/**
 * Counts a refused request as an attempt of its client, if the client has shown no valid identity.
 *
 * @returns what to answer: the refusal, or `rate_limited` in its place
 */
export async function countedRefusal<Client = IncomingMessage>(
  countAttempt: CountAttempt<Client> | undefined,
  client: Client,
  refusal: unknown,
): Promise<unknown> {
  if (countAttempt === undefined || !isWithoutIdentity(refusal)) return refusal;
  try {
    await countAttempt(client);
    return refusal;
  } catch (limited) {
    return limited;
  }
}

/**
 * Limits the attempts per client address: calls of routes without authentication, and calls without a valid identity
 * anywhere.
 *
 * Addresses share a fixed number of counters, which bounds memory under a flood. The assignment is random in each
 * process, so that nobody can target another client's counter.
 *
 * @param attemptsPerMinute 0 disables the limit
 * @param addressOf says whose address a request comes from
 */
export function limitAttempts<Client = IncomingMessage>(
  attemptsPerMinute: number,
  addressOf: (client: Client) => string,
): CountAttempt<Client> {
  const check = limitTo(attemptsPerMinute, 'attempts');
  const secret = randomBytes(32);
  const counterOf = (address: string): string => {
    const digest = createHmac('sha256', secret).update(addressBlock(address)).digest();
    return String(digest.readUInt32BE() % ADDRESS_COUNTERS);
  };
  return (client) => check(counterOf(addressOf(client)));
}

function limitTo(perMinute: number, what: 'calls' | 'attempts'): (key: string) => Promise<void> {
  if (perMinute === 0) return async () => undefined;
  const limiter = new RateLimiterMemory({ points: perMinute, duration: 60 });
  return async (key) => {
    try {
      await limiter.consume(key);
    } catch (error) {
      if (!(error instanceof RateLimiterRes)) throw error;
      const seconds = Math.ceil(error.msBeforeNext / 1000);
      throw new BrokerError(
        'rate_limited',
        `At most ${perMinute} ${what} per minute are allowed. Try again in ${seconds} seconds.`,
        { headers: { 'Retry-After': String(seconds) } },
      );
    }
  };
}
