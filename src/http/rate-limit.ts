import { createHmac, randomBytes } from 'node:crypto';
import type { RequestHandler } from 'express';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { BrokerError } from '../errors.ts';
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
 * Limits the attempts per client address on routes without authentication. Express determines the address and accepts
 * it from trusted proxies only.
 *
 * Addresses share a fixed number of counters, which bounds memory under a flood. The assignment is random in each
 * process, so that nobody can target another client's counter.
 *
 * @param attemptsPerMinute 0 disables the limit
 * @returns a middleware that throws BrokerError `rate_limited` with `Retry-After` in seconds
 */
export function limitAttempts(attemptsPerMinute: number): RequestHandler {
  const check = limitTo(attemptsPerMinute, 'attempts');
  const secret = randomBytes(32);
  const counterOf = (address: string): string => {
    const digest = createHmac('sha256', secret).update(addressBlock(address)).digest();
    return String(digest.readUInt32BE() % ADDRESS_COUNTERS);
  };
  return async (req, _res, next) => {
    await check(counterOf(req.ip ?? ''));
    next();
  };
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
