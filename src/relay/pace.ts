import { setTimeout } from 'node:timers/promises';

/*
 * When a relay asks again. Relays that lose their broker in the same moment must not come back in the same moment, so every
 * pause has a random part.
 */

/** How often a relay asks, in milliseconds. */
export interface Pace {
  /** Between two polls without a stream, about. */
  pollMs: number;
  /** The same while a stream is alive: a stream that a middlebox has cut may look alive. */
  pollStreamingMs: number;
  /** After so long without a line, a stream counts as dead. The broker sends one each 15 seconds. */
  silenceMs: number;
  /** The longest pause before the first attempt to connect again, and before any. */
  retryMs: number;
  maxRetryMs: number;
  /** Between two reports of reads. */
  reportMs: number;
  /** For one file. */
  answerMs: number;
}

/** The pace of a relay, unless its bootstrap file has another one. */
export const PACE: Pace = {
  pollMs: 5000,
  pollStreamingMs: 60_000,
  silenceMs: 40_000,
  retryMs: 1000,
  maxRetryMs: 30_000,
  reportMs: 10_000,
  answerMs: 20_000,
};

/** A number between 0 and 1. */
export type Random = () => number;

/** About so long: from three quarters to five quarters of it. */
export function about(ms: number, random: Random): number {
  return ms * (0.75 + random() / 2);
}

/**
 * The pause after so many failures in a row: anything up to a limit that doubles each time.
 *
 * @see https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ ("full jitter")
 */
export function backoff(
  failures: number,
  { retryMs, maxRetryMs }: Pick<Pace, 'retryMs' | 'maxRetryMs'>,
  random: Random,
): number {
  return random() * Math.min(maxRetryMs, retryMs * 2 ** Math.min(failures, 16));
}

/** A pause that can be cut short. */
export interface Pause {
  /** Resolves after so long, when it is woken, or when `signal` aborts. Never rejects. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** Cuts the pause short; without one, the next. */
  wake(): void;
}

/** Creates one. */
export function createPause(): Pause {
  let woken = new AbortController();
  return {
    sleep: async (ms, signal) => {
      const either = AbortSignal.any([woken.signal, signal]);
      await setTimeout(ms, undefined, { signal: either }).catch(() => undefined);
      woken = new AbortController();
    },
    wake: () => woken.abort(),
  };
}
