import { setTimeout } from 'node:timers/promises';
import type { Pool } from 'pg';
import { readHead } from '../log-head.ts';
import type { Db } from '../statement.ts';
import { openDirectPool } from './connection.ts';
import { POOLED, type PostgresFault } from './faults.ts';

/*
 * What other brokers have written on the same database. The end of the log says so, and it is read twice a second. A
 * notification makes it sooner, and nothing more depends on it: one that is lost costs half a second.
 */

/** The channel on which each commit is announced, with the writer as the payload. */
export const CHANNEL = 'countersign_commits';

const POLL_MS = 500;
/** The least pause between two looks, however much is written. */
const PAUSE_MS = 50;
/** The pause is so many times what the last look took: looking must leave time for everything else. */
const SHARE = 4;
/** How long the connection for notifications stays lost before the next try. */
const RECONNECT_MS = 2000;
/** How long the end waits for that connection: a server that has gone silent would keep it for ever. */
const LEAVE_MS = 1000;

/** Watches for writes of others until it is stopped. */
export interface Others {
  stop(): Promise<void>;
}

/** What {@link watchOthers} needs. */
export interface OthersDeps {
  address: string;
  /** This broker's writer, whose own notifications are none. */
  writer: string;
  read: Db;
  /** Takes over what was written. Called again, later, if it fails. */
  look: () => Promise<void>;
  /** Called with the first error of `look` in a row. */
  onFault: (error: unknown) => void;
}

/** Calls `look` once at the beginning, and whenever the log has grown. */
export function watchOthers({ address, writer, read, look, onFault }: OthersDeps): Others {
  const ending = new AbortController();
  const { signal } = ending;
  let wake: () => void = () => undefined;
  /** The end of the log at the last look. */
  let seen = '';
  let hasFailed = false;

  async function lookOnce(): Promise<void> {
    let end: string;
    try {
      const { epoch, size } = await readHead(read);
      end = `${epoch} ${size}`;
    } catch {
      // The database does not answer, which everybody who writes is told.
      return;
    }
    if (end === seen) return;
    try {
      await look();
      seen = end;
      hasFailed = false;
    } catch (error) {
      if (!hasFailed) onFault(error);
      hasFailed = true;
    }
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      const { promise: woken, resolve } = Promise.withResolvers<void>();
      wake = resolve;
      const beginMs = performance.now();
      await lookOnce();
      const took = performance.now() - beginMs;
      const pauseMs = Math.min(Math.max(PAUSE_MS, SHARE * took), POLL_MS);
      await pause(pauseMs, signal);
      const rest = new AbortController();
      await Promise.race([woken, pause(POLL_MS - pauseMs, AbortSignal.any([signal, rest.signal]))]);
      rest.abort();
    }
  }

  const running = run();
  const listening = listen({ address, signal, heard: (from) => (from === writer ? undefined : wake()) });
  return {
    stop: async () => {
      ending.abort();
      await running;
      const left = new AbortController();
      await Promise.race([listening, pause(LEAVE_MS, left.signal)]);
      left.abort();
    },
  };
}

/**
 * Listens until the signal aborts, on a connection of its own that is made again whenever it is lost. Behind a pooler it does
 * not: the session that listens would be somebody else's a moment later.
 */
async function listen(deps: {
  address: string;
  signal: AbortSignal;
  heard: (from: string | undefined) => void;
}): Promise<void> {
  const { address, signal, heard } = deps;
  while (!signal.aborted) {
    try {
      const pool = await openDirectPool(address);
      await listenOn(pool, { signal, heard }).finally(() => pool.end());
    } catch (error) {
      if ((error as PostgresFault).code === POOLED) return;
      // The poll goes on.
    }
    await pause(RECONNECT_MS, signal);
  }
}

/** Resolves when the connection is lost, or the signal aborts. */
async function listenOn(
  pool: Pool,
  { signal, heard }: { signal: AbortSignal; heard: (from: string | undefined) => void },
): Promise<void> {
  const client = await pool.connect();
  try {
    const { promise: over, resolve } = Promise.withResolvers<void>();
    client.on('error', () => resolve());
    client.on('end', () => resolve());
    client.on('notification', ({ payload }) => heard(payload));
    signal.addEventListener('abort', () => resolve(), { once: true });
    await client.query(`listen ${CHANNEL}`);
    // What was written while nobody listened.
    heard(undefined);
    if (!signal.aborted) await over;
  } finally {
    client.release(true);
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await setTimeout(Math.max(0, ms), undefined, { signal }).catch(() => undefined);
}
