import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../clock.ts';
import { prepareFlag } from '../data/answers.ts';
import type { Snapshot, SnapshotFlag } from '../data/snapshot.ts';
import { bodyFile, MAX_BODY_BYTES } from '../snapshot/body.ts';
import { SnapshotFault } from '../snapshot/fault.ts';
import {
  LATEST_FILE,
  MAX_LATEST_BYTES,
  openLatest,
  type ProvedPointer,
  type SeenSnapshot,
} from '../snapshot/latest.ts';
import type { NoteVerifier } from '../tree/note.ts';
import type { BodyReader } from './body-thread.ts';
import type { FaultBook } from './fault-book.ts';
import { type FlagTexts, flagTexts } from './flag-texts.ts';
import { isDamage, keptFault } from './kept-fault.ts';
import type { KeptFiles } from './kept-files.ts';
import { oneByOne } from './one-by-one.ts';
import { type StalenessPolicy, whenStale } from './staleness.ts';

/** How a relay came from one epoch of the log to the next. */
export interface EpochChange {
  from: SeenSnapshot;
  to: SeenSnapshot;
  at_ms: number;
}

/** The snapshot of an environment that was verified last. */
export interface HeldSnapshot {
  /** Takes up what was kept on disk. Never rejects for what lies there. */
  restore(): Promise<void>;
  /**
   * Verifies a pointer and, if it is another one, its body; serves and keeps it. Whatever is wrong is noted, and what was served
   * stays.
   *
   * @param latest the file with the pointer
   * @returns whether it is the one that is held now
   */
  offer(latest: Buffer): Promise<boolean>;
  /** What is served now; undefined before there is anything. Never waits. */
  served(): Snapshot | undefined;
  /** The pointer of what is served. */
  pointer(): ProvedPointer | null;
  /** When it was adopted. */
  adoptedMs(): number | null;
  epochChange(): EpochChange | null;
  /** Writes what could not be written before. */
  keepAgain(): Promise<void>;
  /** Resolves when nothing is being taken over. */
  done(): Promise<void>;
}

/** What {@link createHeldSnapshot} needs. */
export interface HeldSnapshotDeps {
  environment: string;
  /** The keys of the log that are known now. */
  keys: () => readonly NoteVerifier[];
  staleness: () => StalenessPolicy;
  kept: KeptFiles;
  bodies: Pick<BodyReader, 'read'>;
  /** Reads a body from the source; null if it is not there any more. @throws RelayFault */
  readBody: (file: string, maxBytes: number) => Promise<Buffer | null>;
  faults: FaultBook;
  clock: Clock;
  log: { warn(fields: object, message: string): void; info(fields: object, message: string): void };
  /** Another version is served. */
  adopted: (pointer: ProvedPointer) => void;
}

interface Held {
  pointer: ProvedPointer;
  latest: Buffer;
  snapshot: Snapshot;
  adoptedMs: number;
  /** The same as it is served when it is too old, under that policy. */
  stale: { policy: StalenessPolicy; snapshot: Snapshot } | null;
}

/** After so many flags, requests have their turn. */
const FLAGS_AT_ONCE = 100;

/** Creates one that holds nothing. */
export function createHeldSnapshot(deps: HeldSnapshotDeps): HeldSnapshot {
  const { environment, keys, staleness, kept, bodies, readBody, faults, clock, log } = deps;
  let held: Held | null = null;
  /** What must not be fallen behind, also where the body of it was lost. */
  let seen: SeenSnapshot | undefined;
  let epochChange: EpochChange | null = null;
  /** What is not on the disk yet. */
  let unwritten: { latest: Buffer; pointer: ProvedPointer; body: Buffer | null } | null = null;

  /** Its texts stay, to find out what has changed in the next one. */
  let texts: ReadonlyMap<string, string> = new Map();

  async function hold(pointer: ProvedPointer, latest: Buffer, read: FlagTexts): Promise<void> {
    const flags = await takeOver(read, { texts, flags: held?.snapshot.flags });
    texts = new Map(read);
    const { version } = pointer;
    held = {
      ...{ pointer, latest, adoptedMs: clock() },
      snapshot: { environment, version, flags },
      stale: null,
    };
  }

  async function write(): Promise<void> {
    if (unwritten === null) return;
    const { latest, pointer, body } = unwritten;
    try {
      await kept.writeSnapshot(latest, pointer, body);
      unwritten = null;
      faults.clear('disk');
    } catch (error) {
      faults.note('disk', error);
    }
  }

  /** A body that is still to be written stays so when its pointer is signed again. */
  async function keep(pointer: ProvedPointer, latest: Buffer, body: Buffer | null): Promise<void> {
    const same = unwritten !== null && unwritten.pointer.digest === pointer.digest ? unwritten.body : null;
    unwritten = { latest, pointer, body: body ?? same };
    await write();
  }

  async function adopt(pointer: ProvedPointer, latest: Buffer): Promise<void> {
    if (held !== null && isSame(held.pointer, pointer)) {
      // Each broker signs for itself, so one may be behind another in time alone.
      if (pointer.exp <= held.pointer.exp) return;
      held = { ...held, pointer, latest };
      await keep(pointer, latest, null);
      return;
    }
    const file = bodyFile(pointer);
    const bytes = await readBody(file, MAX_BODY_BYTES);
    if (bytes === null) throw new SnapshotFault('body_missing', `there is no ${file}`);
    await hold(pointer, latest, await bodies.read(bytes, pointer));
    noteAdopted(pointer);
    await keep(pointer, latest, bytes);
  }

  function noteAdopted(pointer: ProvedPointer): void {
    const { epoch, version, digest } = pointer;
    const former = seen;
    seen = { epoch, version, digest };
    if (former !== undefined && former.epoch !== epoch) {
      epochChange = { from: former, to: seen, at_ms: clock() };
      log.warn(
        { environment, ...epochChange },
        'the log of another epoch is followed, by a key that was given',
      );
    }
    log.info({ environment, epoch, version, digest }, 'snapshot adopted');
    deps.adopted(pointer);
  }

  let last = Promise.resolve();
  const offerOne = oneByOne(async (latest: Buffer) => {
    try {
      if (held?.latest.equals(latest) !== true || held.pointer.exp * 1000 <= clock()) {
        const expected = { keys: keys(), environment, after: seen, nowMs: clock() };
        await adopt(await openLatest(latest, expected), latest);
      }
      faults.clear('snapshot');
    } catch (error) {
      faults.note('snapshot', error);
    }
  });

  async function restoreBody(pointer: ProvedPointer, latest: Buffer): Promise<void> {
    const file = bodyFile(pointer);
    const bytes = await kept.read(file, MAX_BODY_BYTES);
    if (bytes === null) throw new SnapshotFault('body_missing', `the state folder has no ${file}`);
    try {
      // At once: nothing is served yet.
      await hold(pointer, latest, flagTexts(bytes, pointer));
    } catch (error) {
      await kept.setAside(file);
      throw error;
    }
  }

  return {
    restore: async () => {
      try {
        const latest = await kept.read(LATEST_FILE, MAX_LATEST_BYTES);
        if (latest === null) return;
        // It was verified when it was kept. That it has expired makes it stale, and no less true.
        const pointer = await openLatest(latest, { keys: keys(), environment, nowMs: null }).catch(
          async (error: unknown) => {
            if (isDamage(error)) await kept.setAside(LATEST_FILE);
            throw error;
          },
        );
        const { epoch, version, digest } = pointer;
        seen = { epoch, version, digest };
        await restoreBody(pointer, latest);
        log.info({ environment, ...seen }, 'snapshot taken up from disk');
      } catch (error) {
        faults.note('disk', keptFault(error));
      }
    },
    offer: async (latest) => {
      last = offerOne(latest);
      await last;
      return held?.latest.equals(latest) === true;
    },
    served: () => {
      if (held === null) return undefined;
      const policy = staleness();
      if (clock() < held.pointer.exp * 1000 + policy.maxMs) return held.snapshot;
      if (held.stale?.policy !== policy) held.stale = { policy, snapshot: whenStale(held.snapshot, policy) };
      return held.stale.snapshot;
    },
    pointer: () => held?.pointer ?? null,
    adoptedMs: () => held?.adoptedMs ?? null,
    epochChange: () => epochChange,
    keepAgain: write,
    done: () => last,
  };
}

function isSame(one: ProvedPointer, other: ProvedPointer): boolean {
  return one.epoch === other.epoch && one.version === other.version && one.digest === other.digest;
}

/** The flags by key. One that has not changed stays the same object, with the answers that were made of it. */
async function takeOver(
  read: FlagTexts,
  former: { texts: ReadonlyMap<string, string>; flags: Snapshot['flags'] | undefined },
): Promise<Map<string, SnapshotFlag>> {
  const flags = new Map<string, SnapshotFlag>();
  let made = 0;
  for (const [key, text] of read) {
    const known = former.texts.get(key) === text ? former.flags?.get(key) : undefined;
    flags.set(key, known ?? prepared(JSON.parse(text) as SnapshotFlag));
    if (known === undefined) made += 1;
    if (made % FLAGS_AT_ONCE === FLAGS_AT_ONCE - 1) await setImmediate();
  }
  return flags;
}

/** With what the first request would otherwise wait for. */
function prepared(flag: SnapshotFlag): SnapshotFlag {
  prepareFlag(flag);
  return flag;
}
