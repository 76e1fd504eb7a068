import { decodeProtectedHeader } from 'jose';
import { bodyDigest, bodyFile, MAX_BODY_BYTES, openBody } from '../snapshot/body.ts';
import { SnapshotFault } from '../snapshot/fault.ts';
import {
  type Expected,
  LATEST_FILE,
  MAX_LATEST_BYTES,
  openLatest,
  type ProvedPointer,
} from '../snapshot/latest.ts';
import { MAX_READERS_BYTES, openReaders, READERS_FILE } from '../snapshot/readers.ts';
import { CliError } from './cli-error.ts';
import type { PlainFiles } from './log-target.ts';
import { EXIT } from './output/exit-codes.ts';
import { printable } from './output/text.ts';

/** The files of published snapshots, as a broker, a folder or an address has them. */
export type SnapshotFiles = Pick<PlainFiles, 'name' | 'read'>;

/** A snapshot in a place. */
export interface VerifiedSnapshot extends ProvedPointer {
  /** How many flags it has. */
  flags: number;
}

/** How a snapshot is verified. */
interface Demand extends Expected {
  /** The folder of its files, below the place: empty, or with a slash at its end. */
  folder: string;
}

/** How often a pointer is read again whose body was replaced meanwhile. */
const ATTEMPTS = 3;

/**
 * Reads and verifies the newest snapshot of an environment in a place.
 *
 * @throws SnapshotFault for the first thing that is wrong
 */
export function readSnapshot(place: SnapshotFiles, demand: Demand): Promise<VerifiedSnapshot> {
  return withPointer(place, demand, async (_, pointer) => {
    const body = await readBody(place, demand.folder, pointer);
    return { ...pointer, flags: openBody(body, pointer).flags.length };
  });
}

/** Does something with a verified pointer, and again with the next one if its body was replaced meanwhile. */
async function withPointer<T>(
  place: SnapshotFiles,
  demand: Demand,
  work: (latest: Buffer, pointer: ProvedPointer) => Promise<T>,
): Promise<T> {
  const file = `${demand.folder}${LATEST_FILE}`;
  for (let attempt = 1; ; attempt += 1) {
    const latest = await place.read(file, MAX_LATEST_BYTES);
    if (latest === null) throw new SnapshotFault('not_a_snapshot', `${place.name} has no ${file}`);
    const pointer = await openLatest(latest, demand);
    try {
      return await work(latest, pointer);
    } catch (error) {
      const isReplaced = error instanceof SnapshotFault && error.code === 'body_missing';
      if (!isReplaced || attempt === ATTEMPTS) throw error;
    }
  }
}

/** @throws SnapshotFault `body_missing` */
async function readBody(place: SnapshotFiles, folder: string, pointer: ProvedPointer): Promise<Buffer> {
  const file = `${folder}${bodyFile(pointer)}`;
  const body = await place.read(file, MAX_BODY_BYTES);
  if (body === null) throw new SnapshotFault('body_missing', `${place.name} has no ${file}`);
  return body;
}

/** What a run has published. */
export interface PublishedSnapshot extends ProvedPointer {
  /** How many files it wrote. */
  files: number;
}

/**
 * Brings a place up to date: first the body, then the pointer that names it. Everything is verified before it is written, and
 * the place never steps back.
 *
 * @throws SnapshotFault
 */
export async function publishSnapshots(
  source: SnapshotFiles,
  target: PlainFiles,
  { environment, keys, nowMs }: Omit<Demand, 'folder' | 'after'>,
): Promise<PublishedSnapshot> {
  const folder = `${environment}/`;
  const file = `${folder}${LATEST_FILE}`;
  const present = await target.read(file, MAX_LATEST_BYTES);
  // What is there may have expired, and still must not be followed by something older.
  const after =
    present === null
      ? undefined
      : await acceptedPresent(`${target.name}/${file}`, () =>
          openLatest(present, { keys, environment, nowMs: null }),
        );
  const readers = await publishReaders(source, target, { environment, keys, nowMs });
  return withPointer(source, { environment, keys, nowMs, folder, after }, async (latest, pointer) => {
    if (present !== null && after !== undefined && saysAsMuch(present, after, latest, pointer))
      return { ...pointer, files: readers };
    const path = `${folder}${bodyFile(pointer)}`;
    const kept = await target.read(path, MAX_BODY_BYTES);
    const isComplete = kept !== null && bodyDigest(kept) === pointer.digest;
    if (!isComplete) {
      const body = await readBody(source, folder, pointer);
      openBody(body, pointer);
      await target.write(path, body);
    }
    await target.write(file, latest);
    return { ...pointer, files: readers + (isComplete ? 1 : 2) };
  });
}

/**
 * Brings the list of readers up to date, before the pointer: whoever reads what is new must not be judged by what is old.
 *
 * @returns how many files it wrote
 * @throws SnapshotFault
 */
async function publishReaders(
  source: SnapshotFiles,
  target: PlainFiles,
  { environment, keys, nowMs }: Omit<Demand, 'folder' | 'after'>,
): Promise<number> {
  const file = `${environment}/${READERS_FILE}`;
  const present = await target.read(file, MAX_READERS_BYTES);
  const after =
    present === null
      ? undefined
      : await acceptedPresent(`${target.name}/${file}`, () =>
          openReaders(present, { keys, environment, nowMs: null }),
        );
  const bytes = await source.read(file, MAX_READERS_BYTES);
  // A broker of an earlier version has none.
  if (bytes === null) return 0;
  const has = await openReaders(bytes, { keys, environment, nowMs, after });
  // Each broker signs for itself: those behind one address answer with different texts that say the same.
  const isSame = after?.epoch === has.epoch && after.digest === has.digest && after.exp >= has.exp;
  if (present !== null && isSame && kidsOf(present, 'readers') === kidsOf(bytes, 'readers')) return 0;
  await target.write(file, bytes);
  return 1;
}

/**
 * Whether a place has what a broker has, or the same for longer. Each broker signs for itself, so those behind one address answer
 * with different texts.
 */
function saysAsMuch(present: Buffer, had: ProvedPointer, latest: Buffer, has: ProvedPointer): boolean {
  if (present.equals(latest)) return true;
  const isSame = had.epoch === has.epoch && had.version === has.version && had.digest === has.digest;
  return isSame && had.exp >= has.exp && kidsOf(present, 'pointers') === kidsOf(latest, 'pointers');
}

/** The keys that signed a file, which was read before. */
function kidsOf(file: Buffer, member: 'pointers' | 'readers'): string {
  const texts = (JSON.parse(file.toString()) as Record<string, string[]>)[member] ?? [];
  return texts
    .map((text) => decodeProtectedHeader(text).kid)
    .toSorted()
    .join(' ');
}

/** Reads what a place has already. @throws SnapshotFault */
async function acceptedPresent<T>(name: string, open: () => Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (error) {
    if (!(error instanceof SnapshotFault)) throw error;
    throw new SnapshotFault(
      error.code,
      `${name}, which is there already, is not accepted: ${error.message}. Publish to another place, or remove the file if it is known why`,
      error,
    );
  }
}

/** Turns the fault of a snapshot into the failure of a command. */
export async function failOnSnapshotFault<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof SnapshotFault)) throw error;
    throw new CliError(
      EXIT.different,
      {
        code: 'snapshot_fault',
        title: 'The snapshot is not valid',
        detail: describeFault(error),
        fault: error.code,
      },
      { cause: error },
    );
  }
}

/** What is wrong with a snapshot, and what to do about it. */
export function describeFault(fault: SnapshotFault): string {
  const sentence = printable(fault.message).replace(
    /^[a-z]+ /,
    (word) => word.charAt(0).toUpperCase() + word.slice(1),
  );
  return `${sentence}. ${fault.remedy}`;
}
