import type { Snapshot, SnapshotFlag } from './snapshot.ts';

/** The namespaces whose flags a reader may see; `*` stands for all. */
export type Namespaces = readonly string[];

/** The part of a snapshot that readers of the same namespaces see. */
export interface View extends Snapshot {
  /** Sorted, so that equal views have equal responses. */
  readonly namespaces: Namespaces;
}

// A snapshot has one view for each distinct list of namespaces in trust rules. Views are released with the snapshot.
const viewsBySnapshot = new WeakMap<Snapshot, Map<string, View>>();

function mayRead(namespaces: Namespaces, { definition }: SnapshotFlag): boolean {
  return namespaces.includes('*') || namespaces.includes(definition.namespace);
}

/** The flag of a key that readers of these namespaces see, or undefined, also for a flag of another namespace. */
export function findFlag(snapshot: Snapshot, namespaces: Namespaces, key: string): SnapshotFlag | undefined {
  const flag = snapshot.flags.get(key);
  return flag !== undefined && mayRead(namespaces, flag) ? flag : undefined;
}

/** The view of a snapshot for these namespaces. Equal lists share the same object. */
export function viewOf(snapshot: Snapshot, namespaces: Namespaces): View {
  let views = viewsBySnapshot.get(snapshot);
  if (views === undefined) {
    views = new Map();
    viewsBySnapshot.set(snapshot, views);
  }
  const name = JSON.stringify(namespaces);
  let view = views.get(name);
  if (view === undefined) {
    view = {
      ...snapshot,
      flags: new Map([...snapshot.flags].filter(([, flag]) => mayRead(namespaces, flag))),
      namespaces: namespaces.toSorted(),
    };
    views.set(name, view);
  }
  return view;
}
