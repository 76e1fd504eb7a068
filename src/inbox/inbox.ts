import type { Call, ControlDeps } from '../decide/control.ts';
import { readablePlaces } from '../decide/read.ts';
import { resolvePerson } from '../policy/persons.ts';
import type { Policy } from '../policy/policies.ts';
import { fromRow, placesOf } from '../requests/request.ts';
import { isOpen } from '../requests/states.ts';
import { toView } from '../requests/view.ts';
import { countAtGate, countOwned, listAtGate, listByIds, listGates, listOwned } from '../store/inbox.ts';
import { type Asker, type Clearing, judge, mayPass } from './judge.ts';
import type { InboxPart } from './parts.ts';
import type { InboxCount, InboxItem } from './view.ts';

/** How far a part of an inbox is counted. */
const MAX_COUNTED = 100;
/** How many requests one page asks the policy about: some tenths of a second at most, in small pieces. */
const MAX_LOOKS = 200;

/** A page after a request, oldest first. */
export interface InboxPage {
  after: string | null;
  limit: number;
}

/** The next items, and where those after them begin. */
interface ItemsPage {
  items: InboxItem[];
  next: string | null;
}

/** What a person could approve. Empty for whoever is no person. */
export async function approvable(
  deps: ControlDeps,
  call: Call,
  { after, limit }: InboxPage,
): Promise<ItemsPage> {
  const asker = await askerOf(deps, call);
  if (asker === null) return { items: [], next: null };
  const gates = await openGates(deps, asker);
  const isReadable = await readablePlaces(deps, call, 'request.read');
  const items: InboxItem[] = [];
  let last = after ?? '';
  for (let looks = 0; looks < MAX_LOOKS; ) {
    const ids = await nextOf(deps, asker, gates, { after: last, limit: limit + 1 });
    for (const row of await listByIds(deps.store.read, ids.slice(0, limit))) {
      if (items.length === limit || looks === MAX_LOOKS) return { items, next: last };
      looks += 1;
      last = row.id;
      const request = fromRow(row);
      if (!placesOf(request, deps.kinds).every(isReadable)) continue;
      const clearing = await judge(deps, asker, request);
      if (clearing === null || clearing.clears.length === 0) continue;
      items.push(toItem(deps, asker, request, clearing));
    }
    if (ids.length <= limit) return { items, next: null };
  }
  return { items, next: last };
}

/** The caller's own open requests. Who proposed one may read it as long as they may read its places. */
export async function owned(deps: ControlDeps, call: Call, { after, limit }: InboxPage): Promise<ItemsPage> {
  const asker = await askerOf(deps, call);
  if (asker === null) return { items: [], next: null };
  const isReadable = await readablePlaces(deps, call, 'request.read');
  const found = { after: after ?? '', limit: limit + 1 };
  const rows = [];
  for (const owner of asker.names) rows.push(...(await listOwned(deps.store.read, { owner, ...found })));
  rows.sort((one, other) => (one.id < other.id ? -1 : 1));
  const page = rows.slice(0, limit).map(fromRow);
  return {
    items: page
      .filter((request) => placesOf(request, deps.kinds).every(isReadable))
      .map((request) => toItem(deps, asker, request, { clears: [], needs_sign_in: false })),
    next: rows.length > limit ? (page.at(-1)?.id ?? null) : null,
  };
}

/** One request as an item of a part; none if it does not wait for the caller. They must have been found to be able to read it. */
export async function inInbox(
  deps: ControlDeps,
  call: Call,
  { part, request: id }: { part: InboxPart; request: string },
): Promise<InboxItem[]> {
  const asker = await askerOf(deps, call);
  const [row] = asker === null ? [] : await listByIds(deps.store.read, [id]);
  if (asker === null || row === undefined) return [];
  const request = fromRow(row);
  if (!isOpen(request)) return [];
  if (part === 'own') {
    return row.owner !== null && asker.names.includes(row.owner)
      ? [toItem(deps, asker, request, { clears: [], needs_sign_in: false })]
      : [];
  }
  const clearing = await judge(deps, asker, request);
  return clearing === null || clearing.clears.length === 0 ? [] : [toItem(deps, asker, request, clearing)];
}

/**
 * How much is in each part, up to a hundred, by the indices alone. It may count a request that the policy holds back at the
 * moment, whoever approves.
 */
export async function countInbox(deps: ControlDeps, call: Call): Promise<InboxCount> {
  const asker = await askerOf(deps, call);
  if (asker === null) return { approve: toCount(0), own: toCount(0) };
  const { read } = deps.store;
  const { names } = asker;
  let approve = 0;
  for (const gate of await openGates(deps, asker)) {
    if (approve > MAX_COUNTED) break;
    approve += await countAtGate(read, { gate, names, limit: MAX_COUNTED + 1 - approve });
  }
  let own = 0;
  for (const owner of asker.names) own += await countOwned(read, { owner, limit: MAX_COUNTED + 1 });
  return { approve: toCount(approve), own: toCount(own) };
}

function toCount(found: number): InboxCount['own'] {
  return { count: Math.min(found, MAX_COUNTED), more: found > MAX_COUNTED };
}

async function askerOf(deps: ControlDeps, { principal }: Call): Promise<Asker | null> {
  const { kind, person } = principal;
  if (kind !== 'person' || person === null) return null;
  const policy = await deps.policies.active(deps.store.read);
  return { principal, person, names: namesOf(policy, person), policy, now_ms: deps.clock() };
}

/** The names of a person: as they signed in, and the others that stand for the same human. */
function namesOf(policy: Policy, person: string): string[] {
  const human = resolvePerson(policy, person);
  const aliases = [...policy.broker.persons].filter(([, of]) => of === human);
  return [...new Set([person, human, ...aliases.map(([alias]) => alias)])];
}

/** The gates that the person could clear. */
async function openGates(deps: ControlDeps, asker: Asker): Promise<string[]> {
  const open: string[] = [];
  for (const gate of await listGates(deps.store.read)) {
    if (await mayPass(deps, asker, gate)) open.push(gate);
  }
  return open;
}

/** The ids of the next requests of these gates, oldest first. */
async function nextOf(
  { store }: ControlDeps,
  { names }: Asker,
  gates: readonly string[],
  page: { after: string; limit: number },
): Promise<string[]> {
  const found: string[] = [];
  for (const gate of gates) found.push(...(await listAtGate(store.read, { gate, names, ...page })));
  return found.sort().slice(0, page.limit);
}

function toItem(
  { kinds }: ControlDeps,
  { policy, now_ms }: Asker,
  request: ReturnType<typeof fromRow>,
  clearing: Clearing,
): InboxItem {
  return { request: toView(request, { policy, now_ms, kinds, votes: [] }), ...clearing };
}
