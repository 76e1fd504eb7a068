import type { FreezesTable } from '../store/schema.ts';

/** The active freezes, cached in memory to be shown on every answer. Writes read them in their own transaction. */
export interface FreezeWatch {
  /** The scope and incident of each freeze, oldest first, in the form of the header. */
  active(): string[];
  /** Reads them again. If the store does not answer, the cached freezes are still shown. */
  refresh(): void;
}

/** What {@link watchFreezes} needs. */
export interface FreezeWatchDeps {
  /** The active freezes, oldest first. */
  list: () => Promise<readonly Pick<FreezesTable, 'scope' | 'incident'>[]>;
  log: { error(fields: object, message: string): void };
}

/** Starts with a first read. @throws the error of `list`, if that read fails */
export async function watchFreezes({ list, log }: FreezeWatchDeps): Promise<FreezeWatch> {
  let active: string[] = [];
  let begun = 0;
  let taken = 0;

  async function read(): Promise<void> {
    begun += 1;
    const mine = begun;
    const fresh = (await list()).map(shown);
    // Reads may overlap; a read that started earlier must not overwrite a later one.
    if (mine < taken) return;
    taken = mine;
    active = fresh;
  }

  await read();
  return {
    active: () => active,
    refresh: () => {
      read().catch((error: unknown) =>
        log.error({ err: error }, 'could not read the freezes; still showing the cached ones'),
      );
    },
  };
}

function shown({ scope, incident }: Pick<FreezesTable, 'scope' | 'incident'>): string {
  return `${scope};incident=${encodeURIComponent(incident).slice(0, 100)}`;
}
