import { BrokerError } from '../errors.ts';
import type { Lane } from '../operations.ts';
import type { RunAgain } from './run-again.ts';
import { notRecorded } from './write-faults.ts';

/*
 * Writes that left the writer's queue until what they need is prepared. Nothing here touches the store.
 */

/** How often one write may need a preparation: the active policy of each stage is compiled; a bundle is built, tried, judged. */
const MAX_PREPARATIONS = 8;

/**
 * The number of preparations at once, besides those that everybody needs: each may take seconds of a processor, and hundreds
 * of MiB.
 */
const MAX_AT_ONCE = 2;

/** The number of writes that may wait. Fewer than the calls that are served at once, so that others always have their turn. */
const MAX_WAITING = 32;

const RETRY_AFTER_S = 10;

/** The lane of a write: that of the call, or of what is due by itself. */
export type WriteLane = Lane | 'scheduled';

/** What a write needs to be prepared for. */
export interface Preparable {
  lane: WriteLane;
  /** How often something was prepared for it. */
  preparations: number;
  /** The errors of preparations that failed, by what was missing. */
  faults: Map<string, unknown>;
  /** Whether it has a place among those that may wait. It is not refused once it was begun. */
  hasPlace: boolean;
}

/** The writes that wait for a preparation. */
export interface Preparations<Write> {
  /**
   * Lets a write wait until what it needs is prepared, or this has failed.
   *
   * @returns null, or why it is refused instead: what it needs cannot be had, or too many wait
   */
  add(write: Write, missing: RunAgain): { error: unknown } | null;
  /** These writes ran, or will not any more: whoever of them needs something else has been added again. */
  ran(writes: readonly Write[]): void;
  /** Takes out every write that waits. The results of preparations that are running are then of no use. */
  takeAll(): Write[];
}

interface Preparation<Write> {
  missing: RunAgain;
  /** In the order in which they came. */
  writes: Write[];
  isRunning: boolean;
}

/**
 * Prepares what writes need: those that need the same share one preparation. Those that were prepared most often go first,
 * so that what was begun is finished before its results are forgotten.
 *
 * @param resume called with writes whose preparation has ended, in the order in which they came
 */
export function createPreparations<Write extends Preparable>(
  resume: (writes: readonly Write[]) => void,
): Preparations<Write> {
  /** By what is missing. */
  const open = new Map<string, Preparation<Write>>();
  /** What was prepared for writes that have not run since. */
  const resumed = new Map<Write, Preparation<Write>>();

  function start(): void {
    const waiting = [...open.values()].filter(({ isRunning }) => !isRunning);
    const urgent = waiting.filter(isUrgent);
    const others = waiting.filter((preparation) => !isUrgent(preparation));
    const running = [...open.values()].filter(
      (preparation) => preparation.isRunning && !isUrgent(preparation),
    );
    // Those that run again may need something else, and go first.
    const unfinished = new Set([...resumed.values()].filter((preparation) => !isUrgent(preparation)));
    const next = others
      .toSorted((a, b) => progress(b) - progress(a))
      .slice(0, Math.max(0, MAX_AT_ONCE - running.length - unfinished.size));
    for (const preparation of [...urgent, ...next]) {
      preparation.isRunning = true;
      prepareFor(preparation.missing).then(
        () => end(preparation, null),
        (error: unknown) => end(preparation, { error }),
      );
    }
  }

  function end(preparation: Preparation<Write>, fault: { error: unknown } | null): void {
    const { what } = preparation.missing;
    if (open.get(what) === preparation) open.delete(what);
    for (const write of preparation.writes) {
      write.preparations += 1;
      if (fault !== null) write.faults.set(what, fault.error);
      resumed.set(write, preparation);
    }
    resume(preparation.writes);
    start();
  }

  function isFull(): boolean {
    const waiting = [...open.values()].filter((preparation) => !isUrgent(preparation));
    return waiting.reduce((sum, { writes }) => sum + writes.length, 0) >= MAX_WAITING;
  }

  return {
    add: (write, missing) => {
      const { what, isForAll } = missing;
      if (write.faults.has(what)) return { error: write.faults.get(what) };
      if (write.preparations >= MAX_PREPARATIONS) return { error: neverPrepared(write) };
      if (!isForAll && write.lane !== 'emergency') {
        if (!write.hasPlace && isFull()) return { error: overloaded() };
        write.hasPlace = true;
      }
      const known = open.get(what);
      if (known === undefined) open.set(what, { missing, writes: [write], isRunning: false });
      else known.writes.push(write);
      start();
      return null;
    },
    ran: (writes) => {
      if (writes.filter((write) => resumed.delete(write)).length > 0) start();
    },
    takeAll: () => {
      resumed.clear();
      const writes = [...open.values()].flatMap((preparation) => preparation.writes.splice(0));
      open.clear();
      return writes;
    },
  };
}

/** Also an error that is thrown before there is a promise is one of the preparation. */
async function prepareFor({ prepare }: RunAgain): Promise<void> {
  await prepare();
}

/** Emergencies wait for nobody else. */
function isUrgent({ missing, writes }: Preparation<Preparable>): boolean {
  return missing.isForAll || writes.some(({ lane }) => lane === 'emergency');
}

function progress({ writes }: Preparation<Preparable>): number {
  return Math.max(...writes.map(({ preparations }) => preparations));
}

function neverPrepared({ preparations }: Preparable): BrokerError {
  return notRecorded(new Error(`a write was not prepared after ${preparations} preparations`));
}

function overloaded(): BrokerError {
  return new BrokerError(
    'overloaded',
    'Too many changes are being prepared at the moment, so this one was not begun; try again later.',
    { headers: { 'Retry-After': String(RETRY_AFTER_S) } },
  );
}
