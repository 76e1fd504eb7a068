import type { Logger } from '../logger.ts';
import { readHead } from '../store/log-head.ts';
import { findSignedLoss } from '../store/signed-checkpoint.ts';
import type { Store } from '../store/store.ts';
import { comparePublished, type PublishedState } from './published.ts';
import { countBundles, findBundleFault, findHeadFault } from './self-check.ts';

/** How many bundles a look reads: a log of 100 000 records is read once in about ten minutes. */
const BUNDLES_AT_ONCE = 8;
/** The bundles of the tail that a start reads. */
const BUNDLES_AT_START = 16;

/** What the broker knows of its own log. */
export interface LogWatch {
  /** Looks at the tail of the log and at where it is published, before anything is written. Never rejects. */
  start(): Promise<void>;
  /** Looks at the head, and at the next bundles. */
  look(): Promise<void>;
  /** Compares the log with where it is published. */
  compare(): Promise<void>;
  /** What is wrong with the log, or cannot be told; empty if all is well. */
  warnings(): { code: string; detail: string }[];
  /** Whether nothing was found. */
  isIntact(): boolean;
}

/**
 * Watches the stored log: that it is one tree, that it continues the checkpoint that was signed last, and that it continues
 * what is published. What does not stops writes for good; reads go on.
 *
 * @param deps.places where the log is published: folders and addresses
 */
export function watchLog(deps: {
  store: Store;
  places: readonly string[];
  fetch: typeof fetch;
  log: Logger;
}): LogWatch {
  const { store, places, log } = deps;
  const unknown = new Set<string>();
  let found: { code: string; detail: string } | null = null;
  let next = 0;

  function stop(code: 'restored_copy' | 'log_altered', detail: string): void {
    if (found !== null) return;
    found = { code, detail };
    log.fatal({ code, detail }, 'the decision log is not the one that was signed; writes are refused');
    if (code === 'restored_copy') store.stopLacking(detail);
    else store.stopAltered(detail);
  }

  async function lookAtHead(): Promise<void> {
    const altered = await findHeadFault(store.read);
    if (altered !== null) stop('log_altered', altered);
    const signed = store.signed();
    const lacking =
      signed === null ? null : await findSignedLoss(store.read, await readHead(store.read), signed);
    if (lacking !== null) stop('restored_copy', lacking);
  }

  async function lookAtBundles(from: number, to: number): Promise<void> {
    for (let index = from; index < to; index += 1) {
      const altered = await findBundleFault(store.read, index);
      if (altered !== null) stop('log_altered', altered);
    }
  }

  /** Everybody may read it, so it has nothing of a place, or of what was found there. */
  function unknownPlaces(): string {
    return `The log could not be compared with ${unknown.size} of ${places.length} places where it is published; the log of the broker says why.`;
  }

  async function compareWith(place: string): Promise<void> {
    const compared: PublishedState = await comparePublished(store.read, place, deps.fetch);
    if (compared.state === 'unknown') {
      if (!unknown.has(place)) log.warn({ place }, compared.detail);
      unknown.add(place);
      return;
    }
    unknown.delete(place);
    if (compared.state === 'continued') return;
    // For the next start, and for the record of a confirmed restore, should the place be out of reach then.
    await store.keepSigned(compared.signed).catch((error: unknown) => {
      log.error({ err: error }, 'the published checkpoint could not be kept beside the database');
    });
    stop('restored_copy', compared.detail);
  }

  const compare = async (): Promise<void> => {
    await Promise.all(places.map(compareWith));
  };

  async function lookAtTail(): Promise<void> {
    await lookAtHead();
    const count = await countBundles(store.read);
    await lookAtBundles(Math.max(0, count - BUNDLES_AT_START), count);
  }

  /** Flags are served whatever cannot be read of the log. The store itself stops writes for a damaged page. */
  const unread = (error: unknown): void => {
    log.error({ err: error }, 'the decision log could not be read at the start');
  };

  return {
    start: async () => {
      if (store.loss === null) await lookAtTail().catch(unread);
      await compare().catch(unread);
    },
    look: async () => {
      if (found !== null || store.loss !== null) return;
      await lookAtHead();
      const count = await countBundles(store.read);
      if (next >= count) next = 0;
      const to = Math.min(next + BUNDLES_AT_ONCE, count);
      await lookAtBundles(next, to);
      next = to;
    },
    compare,
    warnings: () => [
      ...(found === null ? [] : [found]),
      ...(store.loss === null ? [] : [{ code: 'restored_copy', detail: store.loss.detail }]),
      ...(unknown.size === 0 ? [] : [{ code: 'published_log_unknown', detail: unknownPlaces() }]),
    ],
    isIntact: () => found === null && store.loss === null,
  };
}
