import type { Clock } from '../clock.ts';
import { viewTag } from './answers.ts';
import type { Snapshots } from './snapshot.ts';
import { type Namespaces, type View, viewOf } from './view.ts';

/** Told of a view that differs from the last one, with the tag of what its readers see. */
export type ViewListener = (view: View, tag: string) => void;

/** The readers of one view. */
export interface FollowedView {
  /** The newest view and its tag; null before the first snapshot is loaded. */
  newest(): { view: View; tag: string } | null;
  /** Ends the calls of the listener. */
  stop(): void;
}

/** Follows what readers of some namespaces see, for all streams of this process. */
export interface ViewWatch {
  /** Calls a function with each change of a view. What others see does not count. It MUST NOT throw. */
  follow(environment: string, namespaces: Namespaces, listener: ViewListener): FollowedView;
}

/** The dependencies of the watch. */
export interface ViewWatchDeps {
  snapshots: Pick<Snapshots, 'current' | 'onChange'>;
  clock: Clock;
}

/** Writes come in bursts: readers are told at once, and then so often at most. */
const BETWEEN_MS = 50;

/** An exception for a user ends without a write. */
const TICK_MS = 500;

/** Those who see the same: one view is compared once for all of them. */
interface Group {
  readonly environment: string;
  readonly namespaces: Namespaces;
  readonly listeners: Set<ViewListener>;
  tag: string | null;
}

/** Creates a watch. Without followers it costs nothing. */
export function createViewWatch({ snapshots, clock }: ViewWatchDeps): ViewWatch {
  const groups = new Map<string, Group>();
  let ticks: NodeJS.Timeout | null = null;
  let next: NodeJS.Timeout | null = null;
  let lastMs = Number.NEGATIVE_INFINITY;

  function newestOf({ environment, namespaces }: Group): { view: View; tag: string } | null {
    const snapshot = snapshots.current(environment);
    if (snapshot === undefined) return null;
    const view = viewOf(snapshot, namespaces);
    return { view, tag: viewTag(view, clock()) };
  }

  function compare(): void {
    next = null;
    lastMs = performance.now();
    for (const group of groups.values()) {
      const newest = newestOf(group);
      if (newest === null || newest.tag === group.tag) continue;
      group.tag = newest.tag;
      for (const listener of group.listeners) listener(newest.view, newest.tag);
    }
  }

  snapshots.onChange(() => {
    if (groups.size === 0) return;
    if (next !== null) return;
    next = setTimeout(compare, Math.max(0, lastMs + BETWEEN_MS - performance.now())).unref();
  });

  function groupOf(environment: string, namespaces: Namespaces): Group {
    const key = JSON.stringify([environment, ...namespaces.toSorted()]);
    let group = groups.get(key);
    if (group === undefined) {
      group = { environment, namespaces, listeners: new Set(), tag: null };
      group.tag = newestOf(group)?.tag ?? null;
      groups.set(key, group);
      ticks ??= setInterval(compare, TICK_MS).unref();
    }
    return group;
  }

  return {
    follow(environment, namespaces, listener) {
      const group = groupOf(environment, namespaces);
      group.listeners.add(listener);
      return {
        newest: () => newestOf(group),
        stop: () => {
          group.listeners.delete(listener);
          if (group.listeners.size > 0) return;
          for (const [key, each] of groups) if (each === group) groups.delete(key);
          if (groups.size > 0 || ticks === null) return;
          clearInterval(ticks);
          ticks = null;
        },
      };
    },
  };
}
