import type { Snapshot, SnapshotFlag } from './snapshot.ts';

/** The namespaces whose flags a reader may see; one that is `*` stands for all. */
export type Namespaces = readonly string[];

/** What the readers of the same namespaces see of a snapshot: to them, there is nothing else. */
export interface View extends Snapshot {
  /** Sorted, so that equal views say the same. */
  readonly namespaces: Namespaces;
}

// There are as many views of a snapshot as trust rules grant different lists of namespaces. They go with the snapshot.
const viewsBySnapshot = new WeakMap<Snapshot, Map<string, View>>();

function mayRead(namespaces: Namespaces, { definition }: SnapshotFlag): boolean {
  return namespaces.includes('*') || namespaces.includes(definition.namespace);
}

/** The flag that a reader of these namespaces finds under a key, or undefined: also for one of another namespace. */
export function findFlag(snapshot: Snapshot, namespaces: Namespaces, key: string): SnapshotFlag | undefined {
  const flag = snapshot.flags.get(key);
  return flag !== undefined && mayRead(namespaces, flag) ? flag : undefined;
}

/** The snapshot as the readers of these namespaces see it. The same object for equal lists, whoever reads. */
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
