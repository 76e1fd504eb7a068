import type { Place } from '../decide/control.ts';
import type { FreezesTable } from '../store/schema.ts';

/** An active freeze, and the place whose readers may see it. */
export interface WatchedFreeze {
  freeze: Pick<FreezesTable, 'scope' | 'incident'>;
  place: Place;
}

/** The active freezes, cached in memory to be shown with answers. Writes read them in their own transaction. */
export interface FreezeWatch {
  /** Oldest first. */
  active(): readonly WatchedFreeze[];
  /** Reads them again. If the store does not answer, the cached freezes are still shown. */
  refresh(): void;
  /** The same for who waits for it. @throws the error of the store */
  reload(): Promise<void>;
}

/** What {@link watchFreezes} needs. */
export interface FreezeWatchDeps {
  /** The active freezes, oldest first. */
  list: () => Promise<readonly WatchedFreeze[]>;
  log: { error(fields: object, message: string): void };
}

/** Starts with a first read. @throws the error of `list`, if that read fails */
export async function watchFreezes({ list, log }: FreezeWatchDeps): Promise<FreezeWatch> {
  let active: readonly WatchedFreeze[] = [];
  let begun = 0;
  let taken = 0;

  async function read(): Promise<void> {
    begun += 1;
    const mine = begun;
    const fresh = await list();
    // Reads may overlap; a read that started earlier must not overwrite a later one.
    if (mine < taken) return;
    taken = mine;
    active = fresh;
  }

  await read();
  return {
    active: () => active,
    reload: read,
    refresh: () => {
      read().catch((error: unknown) =>
        log.error({ err: error }, 'could not read the freezes; still showing the cached ones'),
      );
    },
  };
}

/** The number of freezes named in the header; `GET /v1/freezes` lists all. */
const SHOWN_FREEZES = 3;

/**
 * The header that explains failing writes: the first freezes that the caller may see, to keep it small.
 *
 * @param isReadable whether the caller may read freezes in a place
 * @returns null if there are none
 */
export function freezeHeader(
  active: readonly WatchedFreeze[],
  isReadable: (place: Place) => boolean,
): string | null {
  const seen = active.filter(({ place }) => isReadable(place));
  if (seen.length === 0) return null;
  const more = seen.length > SHOWN_FREEZES ? [`and ${seen.length - SHOWN_FREEZES} more`] : [];
  return [...seen.slice(0, SHOWN_FREEZES).map(shown), ...more].join(', ');
}

function shown({ freeze: { scope, incident } }: WatchedFreeze): string {
  return `${scope};incident=${encodeURIComponent(incident).slice(0, 100)}`;
}
