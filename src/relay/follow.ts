import { LATEST_FILE, MAX_LATEST_BYTES } from '../snapshot/latest.ts';
import { MAX_READERS_BYTES, READERS_FILE } from '../snapshot/readers.ts';
import { RelayFault } from './fault.ts';
import type { FaultBook } from './fault-book.ts';
import { about, backoff, createPause, type Pace, type Random } from './pace.ts';
import type { Source } from './source.ts';
import { followStream } from './stream.ts';
import type { RelayTokens } from './tokens.ts';

/** A file that is followed: by the name of its event, and by its name in a place. */
export interface FollowedFile {
  part: 'snapshot' | 'readers';
  event: string;
  file: string;
  maxBytes: number;
  /** @returns whether it is what is held now */
  offer(bytes: Buffer): Promise<boolean>;
}

/** The stream of a broker for one environment. */
export interface StreamSource {
  address: string;
  tokens: RelayTokens;
  fetch: typeof globalThis.fetch;
}

/** What {@link follow} needs. */
export interface FollowDeps {
  environment: string;
  source: Source;
  /** Null: a published place has none. */
  stream: StreamSource | null;
  files: readonly FollowedFile[];
  pace: Pace;
  random: Random;
  faults: FaultBook;
  /** The stream is alive, or it is not. */
  connected: (isAlive: boolean) => void;
  /** The source has answered a poll, or it has not. */
  reached: (isThere: boolean) => void;
  /** Beside each poll. */
  tick: () => Promise<void>;
}

/** What follows one environment. */
export interface Follower {
  /** Asks at once. */
  pollNow(): void;
  /** Ends with the signal. */
  done: Promise<void>;
}

/**
 * Follows the newest files of one environment, by stream and by polls. A stream that is alive makes the polls rare, and does not
 * end them: what looks alive may be cut in between.
 */
export function follow(deps: FollowDeps, signal: AbortSignal): Follower {
  const { environment, source, files, pace, random, faults } = deps;
  const pause = createPause();
  /** The tags of what is held, by file: without what it names, a tag would hide it. */
  const tags = new Map<string, string>();
  /** What streams have brought, and is not on the disk yet. */
  const taking = new Set<Promise<void>>();
  let isAlive = false;
  let failures = 0;

  /** A file that cannot be read keeps no other from being followed, unless nothing can be read there. */
  async function poll(): Promise<void> {
    const thrown: unknown[] = [];
    for (const followed of files) {
      if (thrown.some(isOfSource)) break;
      await pollFile(followed).catch((error: unknown) => thrown.push(error));
    }
    if (signal.aborted) return;
    const isReached = thrown.length < files.length && !thrown.some(isOfSource);
    failures = isReached ? 0 : failures + 1;
    if (!isReached) deps.reached(false);
    if (thrown.length === 0) faults.clear('source');
    else faults.note('source', thrown[0]);
  }

  async function pollFile({ part, file, maxBytes, offer }: FollowedFile): Promise<void> {
    const known = tags.get(file);
    const read = await source.read(`${environment}/${file}`, {
      maxBytes,
      signal,
      ...(known === undefined ? {} : { known }),
    });
    deps.reached(true);
    if (read === null) {
      faults.note(part, new RelayFault('not_published', `${source.name} has no ${environment}/${file}`));
      return;
    }
    if (read.bytes === null) return;
    tags.delete(file);
    if ((await offer(read.bytes)) && read.tag !== null) tags.set(file, read.tag);
  }

  async function keepPolling(): Promise<void> {
    while (!signal.aborted) {
      await poll();
      await deps.tick();
      const usual = about(isAlive ? pace.pollStreamingMs : pace.pollMs, random);
      await pause.sleep(failures === 0 ? usual : usual + backoff(failures, pace, random), signal);
    }
  }

  /** What is not accepted may have been replaced meanwhile, body and all. */
  function take({ offer }: FollowedFile, bytes: Buffer): void {
    const taken = offer(bytes)
      .then(
        (isHeld) => {
          if (!isHeld) pause.wake();
        },
        (error: unknown) => faults.note('stream', error),
      )
      .finally(() => taking.delete(taken));
    taking.add(taken);
  }

  function setAlive(alive: boolean): void {
    if (isAlive === alive) return;
    isAlive = alive;
    deps.connected(alive);
    // The pause was meant for a stream that is there.
    if (!alive) pause.wake();
  }

  async function keepStreaming({ address, tokens, fetch }: StreamSource): Promise<void> {
    let attempts = 0;
    let least = 0;
    while (!signal.aborted) {
      let isUsed = false;
      try {
        const token = await tokens.get();
        await followStream({
          ...{ address, fetch, signal, answerMs: pace.answerMs, silenceMs: pace.silenceMs },
          headers: { authorization: `Bearer ${token}` },
          answered: (status) => {
            if (status === 401) tokens.drop();
          },
          event: ({ name, data }) => {
            isUsed = true;
            attempts = 0;
            setAlive(true);
            faults.clear('stream');
            const followed = files.find(({ event }) => event === name);
            // Another one is of a newer broker.
            if (followed !== undefined) take(followed, Buffer.from(data));
          },
          retry: (ms) => {
            least = Math.min(ms, pace.maxRetryMs);
          },
        });
        // One that ends before it says anything may do so each time.
        if (!isUsed) attempts += 1;
      } catch (error) {
        if (signal.aborted) break;
        attempts += 1;
        faults.note('stream', error);
        if (error instanceof RelayFault && error.retryAfterMs !== null)
          least = Math.max(least, error.retryAfterMs);
      }
      setAlive(false);
      await createPause().sleep(least * random() + backoff(attempts, pace, random), signal);
    }
    setAlive(false);
  }

  return {
    pollNow: () => {
      tags.clear();
      pause.wake();
    },
    done: Promise.all([keepPolling(), ...(deps.stream === null ? [] : [keepStreaming(deps.stream)])]).then(
      async () => {
        await Promise.all(taking);
      },
    ),
  };
}

/** Whether a fault is one of all files of a source. */
function isOfSource(error: unknown): boolean {
  return error instanceof RelayFault && (error.code === 'unreachable' || error.code === 'token_refused');
}

/** The pointer of an environment as a file that is followed. */
export function latestFile(offer: FollowedFile['offer']): FollowedFile {
  return { part: 'snapshot', event: 'latest', file: LATEST_FILE, maxBytes: MAX_LATEST_BYTES, offer };
}

/** The list of readers of an environment as a file that is followed. */
export function readersFile(offer: FollowedFile['offer']): FollowedFile {
  return { part: 'readers', event: 'readers', file: READERS_FILE, maxBytes: MAX_READERS_BYTES, offer };
}
