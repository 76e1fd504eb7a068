import type { Snapshot, SnapshotFlag } from './snapshot.ts';

/** The namespaces whose flags a reader may see; `*` stands for all. */
export type Namespaces = readonly string[];

/** The part of a snapshot that readers of the same namespaces see. */
export interface View extends Snapshot {
  /** Sorted, so that equal views have equal responses. */
  readonly namespaces: Namespaces;
}

/** The views of a snapshot: one for each distinct list of namespaces in trust rules. */
interface Views {
  byName: Map<string, View>;
  /** The same by list. A caller who asks again has the same list, which then need not be written out. */
  byList: WeakMap<Namespaces, View>;
}

// Views are released with the snapshot.
const viewsBySnapshot = new WeakMap<Snapshot, Views>();

function mayRead(namespaces: Namespaces, { definition }: SnapshotFlag): boolean {
  return namespaces.includes('*') || namespaces.includes(definition.namespace);
}

/** The flag of a key that readers of these namespaces see, or undefined, also for a flag of another namespace. */
export function findFlag(snapshot: Snapshot, namespaces: Namespaces, key: string): SnapshotFlag | undefined {
  const flag = snapshot.flags.get(key);
  return flag !== undefined && mayRead(namespaces, flag) ? flag : undefined;
}

/** The view of a snapshot for these namespaces. Equal lists share the same object. A list MUST NOT change. */
export function viewOf(snapshot: Snapshot, namespaces: Namespaces): View {
  let views = viewsBySnapshot.get(snapshot);
  if (views === undefined) {
    views = { byName: new Map(), byList: new WeakMap() };
    viewsBySnapshot.set(snapshot, views);
  }
  let view = views.byList.get(namespaces);
  if (view === undefined) {
    const name = JSON.stringify(namespaces);
    view = views.byName.get(name) ?? createView(snapshot, namespaces);
    views.byName.set(name, view);
    views.byList.set(namespaces, view);
  }
  return view;
}

function createView(snapshot: Snapshot, namespaces: Namespaces): View {
  return {
    ...snapshot,
    flags: new Map([...snapshot.flags].filter(([, flag]) => mayRead(namespaces, flag))),
    namespaces: namespaces.toSorted(),
  };
}
