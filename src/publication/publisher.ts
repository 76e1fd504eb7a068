import type { Clock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import type { Delays } from './delays.ts';
import type { PreparedSnapshot } from './prepare.ts';

/** The shortest time between two snapshots of an environment. */
const INTERVAL_MS = 50;
/** Publishing takes a tenth of the time at most, however many flags there are. */
const SHARE = 10;
/** One that took long only because something else did, once, delays no other: the shortest of the last ones counts. */
const LAST = 4;
/** After this time, a broker publishes what the one that does the scheduled work has not published. */
const OTHERS_MS = 2000;

/** Publishes what has changed. */
export interface Publisher {
  /** From now on, what changes is published at once. */
  start(): void;
  /** Publishes an environment soon, if this broker does the scheduled work. Never waits and never throws. */
  changed(environment: string): void;
  /**
   * Publishes every environment whose version is not published yet: at once if this broker does the scheduled work, and after
   * some seconds otherwise, because the one that does may be configured to publish none. @throws the first error, after all were tried
   */
  publishDue(): Promise<void>;
  /** Finishes what runs. What changes from now on is not published before the next `publishDue`. */
  stop(): Promise<void>;
}

/** What is known of one environment. */
interface Publication {
  /** When it may be published again, on a clock that nobody sets. */
  againMs: number;
  /** How long the last ones took. */
  took: number[];
  timer: NodeJS.Timeout | null;
  running: Promise<void> | null;
}

/**
 * Creates the publisher. A change is published within milliseconds; what was missed, because a broker ended or another one did
 * the scheduled work, is published by the next `publishDue`. An environment without changes makes no record.
 */
export function createPublisher(deps: {
  delays: Pick<Delays, 'look'>;
  /** The environments that are published. */
  environments: () => readonly string[];
  prepare: (environment: string) => Promise<PreparedSnapshot>;
  publish: (prepared: PreparedSnapshot) => Promise<boolean>;
  /** Whether this broker is the one that does what only one has to do. */
  isScheduler: () => Promise<boolean>;
  clock: Clock;
  log: Pick<Logger, 'warn'>;
}): Publisher {
  const { delays, environments, prepare, publish, isScheduler, clock, log } = deps;
  const publications = new Map<string, Publication>();
  let isStarted = false;

  function publicationOf(environment: string): Publication {
    let publication = publications.get(environment);
    if (publication === undefined) {
      publication = { againMs: 0, took: [], timer: null, running: null };
      publications.set(environment, publication);
    }
    return publication;
  }

  async function publishNow(environment: string, publication: Publication): Promise<void> {
    if ((await delays.look(environment)).sinceMs === null) return;
    const beganMs = performance.now();
    try {
      await publish(await prepare(environment));
    } finally {
      // What fails takes its time, too.
      publication.took = [...publication.took, performance.now() - beganMs].slice(-LAST);
      const tookMs = Math.min(...publication.took);
      publication.againMs = performance.now() + Math.max(INTERVAL_MS, SHARE * tookMs);
    }
  }

  /** One at a time for each environment. */
  function runOne(environment: string): Promise<void> {
    const publication = publicationOf(environment);
    publication.running ??= publishNow(environment, publication).finally(() => {
      publication.running = null;
    });
    return publication.running;
  }

  async function runChanged(environment: string): Promise<void> {
    if (!(await isScheduler())) return;
    // One that runs may have begun before the change.
    await publicationOf(environment).running?.catch(() => undefined);
    if (!isStarted) return;
    if (performance.now() < publicationOf(environment).againMs) later(environment);
    else await runOne(environment);
  }

  function later(environment: string): void {
    const publication = publicationOf(environment);
    const waitMs = Math.max(0, publication.againMs - performance.now());
    publication.timer ??= setTimeout(() => {
      publication.timer = null;
      runChanged(environment).catch((error: unknown) =>
        log.warn({ err: error, environment }, 'a snapshot was not published; it is tried again'),
      );
    }, waitMs);
  }

  async function publishIfDue(environment: string, waitsMs: number): Promise<void> {
    if (isStarted && performance.now() < publicationOf(environment).againMs) return;
    const { sinceMs } = await delays.look(environment);
    if (sinceMs !== null && clock() - sinceMs >= waitsMs) await runOne(environment);
  }

  return {
    start: () => {
      isStarted = true;
    },
    changed: (environment) => {
      if (isStarted && environments().includes(environment)) later(environment);
    },
    publishDue: async () => {
      const waitsMs = (await isScheduler()) ? 0 : OTHERS_MS;
      const failures: unknown[] = [];
      for (const environment of environments())
        await publishIfDue(environment, waitsMs).catch((error: unknown) => failures.push(error));
      if (failures.length > 0) throw failures[0];
    },
    stop: async () => {
      isStarted = false;
      for (const publication of publications.values()) {
        clearTimeout(publication.timer ?? undefined);
        publication.timer = null;
      }
      await Promise.allSettled([...publications.values()].map(({ running }) => running));
    },
  };
}
