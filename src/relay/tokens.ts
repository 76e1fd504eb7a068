import type { Clock } from '../clock.ts';
import { RelayFault } from './fault.ts';
import { backoff, type Pace, type Random } from './pace.ts';

/** A token of the broker, and when it expires. */
export interface RelayToken {
  value: string;
  expiresMs: number;
}

/**
 * Gets a token of an audience for the identity of this relay.
 *
 * @throws Error whose message says why not
 */
export type ExchangeToken = (audience: string) => Promise<RelayToken>;

/** The tokens of one environment. */
export interface RelayTokens {
  /** @throws RelayFault `token_refused` */
  get(signal?: AbortSignal): Promise<string>;
  /** It was not accepted: revoked, or of a broker that was restored. */
  drop(): void;
}

/** A token is not used for so long before it expires: it could expire on its way. */
const SAFETY_MS = 5000;

/**
 * Supplies tokens that are replaced by themselves: at a random moment in the last third of their life, so that relays that
 * started together do not exchange together. While no other is to be had, a token is used to its end.
 */
export function createRelayTokens({
  exchange,
  environment,
  clock,
  random,
  pace,
}: {
  exchange: ExchangeToken;
  environment: string;
  clock: Clock;
  random: Random;
  pace: Pick<Pace, 'retryMs' | 'maxRetryMs'>;
}): RelayTokens {
  let kept: (RelayToken & { renewMs: number }) | null = null;
  let failures = 0;
  let refused: { error: RelayFault; untilMs: number } | null = null;
  let running: Promise<string> | null = null;

  async function renew(): Promise<string> {
    try {
      const { value, expiresMs } = await exchange(`data:${environment}`);
      const nowMs = clock();
      const lifeMs = Math.max(0, expiresMs - nowMs);
      kept = { value, expiresMs, renewMs: nowMs + lifeMs * (2 / 3 + random() / 4) };
      failures = 0;
      refused = null;
      return value;
    } catch (error) {
      const fault = new RelayFault(
        'token_refused',
        `no token of audience data:${environment}: ${(error as Error).message}`,
        { cause: error },
      );
      failures += 1;
      refused = { error: fault, untilMs: clock() + backoff(failures, pace, random) };
      throw fault;
    }
  }

  /** One exchange for all who wait, and none during the pause after a refusal. */
  function exchanged(): Promise<string> {
    if (refused !== null && clock() < refused.untilMs) return Promise.reject(refused.error);
    running ??= renew().finally(() => {
      running = null;
    });
    return running;
  }

  return {
    get: async () => {
      const nowMs = clock();
      if (kept === null || nowMs >= kept.expiresMs - SAFETY_MS) return exchanged();
      const { value } = kept;
      return nowMs < kept.renewMs ? value : exchanged().catch(() => value);
    },
    drop: () => {
      kept = null;
    },
  };
}
