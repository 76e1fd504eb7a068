import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { BrokerError } from '../errors.ts';

/**
 * Bounds how often one principal may call, so that nobody can fill the evidence.
 *
 * @param callsPerMinute 0 sets no limit
 * @returns a check that throws BrokerError `rate_limited` with `Retry-After` in seconds
 */
export function createRateLimit(callsPerMinute: number): (principalId: string) => Promise<void> {
  if (callsPerMinute === 0) return async () => undefined;
  const limiter = new RateLimiterMemory({ points: callsPerMinute, duration: 60 });
  return async (principalId) => {
    try {
      await limiter.consume(principalId);
    } catch (error) {
      if (!(error instanceof RateLimiterRes)) throw error;
      const seconds = Math.ceil(error.msBeforeNext / 1000);
      throw new BrokerError(
        'rate_limited',
        `At most ${callsPerMinute} calls a minute; try again in ${seconds} seconds.`,
        {
          headers: { 'Retry-After': String(seconds) },
        },
      );
    }
  };
}
