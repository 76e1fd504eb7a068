import type { FreezesTable } from '../store/schema.ts';

/** The freezes that hold, kept in memory to be shown on every answer. What a write meets is read in its transaction. */
export interface FreezeWatch {
  /** As they are shown: scope and incident of each, oldest first. */
  active(): string[];
  /** Reads them again. When the store does not answer, those read last go on being shown. */
  refresh(): void;
}

/** What {@link watchFreezes} needs. */
export interface FreezeWatchDeps {
  /** The freezes that hold now, oldest first. */
  list: () => Promise<readonly Pick<FreezesTable, 'scope' | 'incident'>[]>;
  log: { error(fields: object, message: string): void };
}

/** Starts with a first reading. @throws what `list` throws then */
export async function watchFreezes({ list, log }: FreezeWatchDeps): Promise<FreezeWatch> {
  let active: string[] = [];
  let begun = 0;
  let taken = 0;

  async function read(): Promise<void> {
    begun += 1;
    const mine = begun;
    const fresh = (await list()).map(shown);
    // Of two readings at once, the one that began later has seen more.
    if (mine < taken) return;
    taken = mine;
    active = fresh;
  }

  await read();
  return {
    active: () => active,
    refresh: () => {
      read().catch((error: unknown) =>
        log.error({ err: error }, 'freezes not read, the last ones are shown'),
      );
    },
  };
}

function shown({ scope, incident }: Pick<FreezesTable, 'scope' | 'incident'>): string {
  return `${scope};incident=${encodeURIComponent(incident).slice(0, 100)}`;
}
