import type { Clock } from '../clock.ts';
import {
  MAX_READERS_BYTES,
  openReaders,
  READERS_FILE,
  type ReadersClaims,
  type SeenReaders,
} from '../snapshot/readers.ts';
import type { NoteVerifier } from '../tree/note.ts';
import type { FaultBook } from './fault-book.ts';
import { isDamage, keptFault } from './kept-fault.ts';
import type { KeptFiles } from './kept-files.ts';
import { oneByOne } from './one-by-one.ts';

/** The list of readers of an environment that was verified last. */
export interface HeldReaders {
  /** Takes up what was kept on disk. Never rejects for what lies there. */
  restore(): Promise<void>;
  /**
   * Verifies a list, and takes it over. Whatever is wrong is noted, and the one before stays.
   *
   * @returns whether it is the one that is held now
   */
  offer(bytes: Buffer): Promise<boolean>;
  /** The list that is held. */
  claims(): ReadersClaims | null;
  /** Writes what could not be written before. */
  keepAgain(): Promise<void>;
  /** Resolves when nothing is being taken over. */
  done(): Promise<void>;
}

/** What {@link createHeldReaders} needs. */
export interface HeldReadersDeps {
  environment: string;
  keys: () => readonly NoteVerifier[];
  kept: KeptFiles;
  faults: FaultBook;
  clock: Clock;
  log: { info(fields: object, message: string): void };
  /** A list is in use from now on. */
  take: (claims: ReadersClaims) => void;
}

/** Creates one that holds nothing. */
export function createHeldReaders(deps: HeldReadersDeps): HeldReaders {
  const { environment, keys, kept, faults, clock, log, take } = deps;
  let held: { claims: ReadersClaims; bytes: Buffer } | null = null;
  let unwritten: Buffer | null = null;

  async function write(): Promise<void> {
    if (unwritten === null) return;
    try {
      await kept.write(READERS_FILE, unwritten);
      unwritten = null;
      faults.clear('readers_disk');
    } catch (error) {
      faults.note('readers_disk', error);
    }
  }

  let last = Promise.resolve();
  const offerOne = oneByOne(async (bytes: Buffer) => {
    try {
      if (held?.bytes.equals(bytes) !== true || held.claims.exp * 1000 <= clock()) {
        const after: SeenReaders | undefined = held?.claims;
        const claims = await openReaders(bytes, { keys: keys(), environment, after, nowMs: clock() });
        if (held?.claims.digest !== claims.digest || claims.exp > held.claims.exp) {
          const { epoch, sequence } = claims;
          if (held?.claims.digest !== claims.digest)
            log.info({ environment, epoch, sequence }, 'list of readers taken over');
          held = { claims, bytes };
          take(claims);
          unwritten = bytes;
          await write();
        }
      }
      faults.clear('readers');
    } catch (error) {
      faults.note('readers', error);
    }
  });

  return {
    restore: async () => {
      try {
        const bytes = await kept.read(READERS_FILE, MAX_READERS_BYTES);
        if (bytes === null) return;
        const claims = await openReaders(bytes, { keys: keys(), environment, nowMs: null }).catch(
          async (error: unknown) => {
            if (isDamage(error)) await kept.setAside(READERS_FILE);
            throw error;
          },
        );
        held = { claims, bytes };
        take(claims);
      } catch (error) {
        faults.note('readers_disk', keptFault(error));
      }
    },
    offer: async (bytes) => {
      last = offerOne(bytes);
      await last;
      return held?.bytes.equals(bytes) === true;
    },
    claims: () => held?.claims ?? null,
    keepAgain: write,
    done: () => last,
  };
}
