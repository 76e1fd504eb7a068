import { createHmac, randomBytes } from 'node:crypto';
import type { RequestHandler } from 'express';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { BrokerError } from '../errors.ts';
import { addressBlock } from './address-block.ts';

/**
 * Bounds how often one principal may call, so that nobody can fill the evidence.
 *
 * @param callsPerMinute 0 sets no limit
 * @returns a check that throws BrokerError `rate_limited` with `Retry-After` in seconds
 */
export function createRateLimit(callsPerMinute: number): (principalId: string) => Promise<void> {
  return limitTo(callsPerMinute, 'calls');
}

/** How many counters there are at most for all addresses together. */
const ADDRESS_COUNTERS = 65_536;

/**
 * Bounds how often one client address may try where nobody has to say who they are. Which address that is, Express
 * knows: what a proxy says about it counts only when the proxy is trusted.
 *
 * Addresses share a fixed number of counters, so that a flood from many of them takes no more memory than that. Who
 * shares one with whom is chosen at random in each process, so that nobody can aim at another's.
 *
 * @param attemptsPerMinute 0 sets no limit
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
        `At most ${perMinute} ${what} a minute; try again in ${seconds} seconds.`,
        { headers: { 'Retry-After': String(seconds) } },
      );
    }
  };
}
