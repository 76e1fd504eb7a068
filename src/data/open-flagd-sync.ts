import type { Clock } from '../clock.ts';
import { countedRefusal, limitAttempts } from '../http/rate-limit.ts';
import type { FlagdSyncDeps } from './flagd-sync.ts';
import type { OpenFlagdSync } from './flagd-sync-server.ts';
import type { SyncListenerConfig } from './sync-config.ts';

/** What all listeners share. */
export interface FlagdSyncParts
  extends Omit<FlagdSyncDeps, 'withoutToken' | 'refusal' | 'maxStreams' | 'clock'> {
  clock: Clock;
  attemptsPerMinute: number;
}

/** The sync service at all its addresses. */
export interface OpenFlagdSyncs {
  addresses: readonly string[];
  /** Ends all streams. */
  stop(): Promise<void>;
}

/** Each has a connection, and one document that waits at most. */
const MAX_STREAMS = 2000;

/** An address with its port, as gRPC writes it. */
const WITH_PORT = /^(?:ipv[46]:)?(.*):\d+$/;

/**
 * Opens the sync service of flagd wherever it is configured. Its packages are loaded only then.
 *
 * @throws Error if nothing can listen at one of them; then none does
 */
export async function openFlagdSyncs(
  listeners: readonly SyncListenerConfig[],
  { attemptsPerMinute, ...shared }: FlagdSyncParts,
): Promise<OpenFlagdSyncs> {
  if (listeners.length === 0) return { addresses: [], stop: async () => undefined };
  const { openFlagdSync } = await import('./flagd-sync-server.ts');
  const countAttempt = limitAttempts<string>(attemptsPerMinute, (peer) => WITH_PORT.exec(peer)?.[1] ?? peer);
  const open: OpenFlagdSync[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(open.map((each) => each.stop()));
  };
  try {
    for (const at of listeners) {
      const { without_token: reads } = at;
      // Whoever can connect there: nobody knows who they are.
      const withoutToken =
        reads === undefined ? null : { ...reads, principal: { id: `listener:${at.listen}` } };
      const refusal = (peer: string, error: unknown) => countedRefusal(countAttempt, peer, error);
      open.push(await openFlagdSync(at, { ...shared, withoutToken, refusal, maxStreams: MAX_STREAMS }));
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return { addresses: open.map(({ address }) => address), stop };
}
