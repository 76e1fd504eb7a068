import type { ControlDeps, Place } from '../decide/control.ts';
import { placeFreezes } from '../emergency/state.ts';
import type { RecordV1 } from '../log/record.ts';
import type { PlainRead } from '../operations.ts';
import { listFreezesAmong } from '../store/emergency.ts';
import { type EventRow, listNamespacesOf } from '../store/events.ts';
import { listByIds } from '../store/inbox.ts';
import type { RequestsTable } from '../store/schema.ts';
import { type EventView, eventSchema } from './view.ts';

/** An event, and the places in all of which somebody must be able to read to be told of it. */
export interface PlacedEvent {
  event: EventView;
  operation: PlainRead;
  places: readonly Place[];
}

/** Where what is of no namespace is read. */
const EVERYWHERE: readonly Place[] = [{ environment: null, namespace: '*' }];
const VOTES = ['request.approve', 'request.reject', 'request.ask_changes'];

/** The events of records. What was refused and moved nothing is told to nobody: only auditors read of it. */
export async function toEvents(
  { store }: Pick<ControlDeps, 'store'>,
  rows: readonly EventRow[],
): Promise<PlacedEvent[]> {
  const records = rows.map(({ place, leaf }) => ({ place, leaf: JSON.parse(leaf) as RecordV1 }));
  const ids = [...new Set(records.flatMap(({ leaf }) => leaf.request?.id ?? []))];
  const requests = new Map((await listByIds(store.read, ids)).map((row) => [row.id, row]));
  const namespaces = await listNamespacesOf(store.read, ids);
  const freezes = await freezePlaces(
    { store },
    records.flatMap(({ leaf }) => leaf.freeze?.id ?? []),
  );
  return records.flatMap(({ place, leaf }) => {
    const at = placesOf(leaf, { requests, namespaces, freezes });
    return at === null ? [] : [{ event: toEvent(place, leaf), ...at }];
  });
}

async function freezePlaces(
  { store }: Pick<ControlDeps, 'store'>,
  ids: readonly string[],
): Promise<ReadonlyMap<string, Place>> {
  if (ids.length === 0) return new Map();
  const placed = await placeFreezes(store.read, await listFreezesAmong(store.read, ids));
  return new Map(placed.map(({ freeze, place }) => [freeze.id, place]));
}

/** Where a record can be seen, by the rules of the lists; null if it is told to nobody. */
function placesOf(
  { operation, outcome, request, freeze }: RecordV1,
  known: {
    requests: ReadonlyMap<string, RequestsTable>;
    namespaces: ReadonlyMap<string, string[]>;
    freezes: ReadonlyMap<string, Place>;
  },
): Omit<PlacedEvent, 'event'> | null {
  if (request !== null) {
    const row = known.requests.get(request.id);
    const isRefused = outcome.effect !== 'allow' && request.from === request.to;
    // What was refused before it was stored is no request.
    if (row === undefined || isRefused) return null;
    const { environment } = row;
    const own = known.namespaces.get(row.id) ?? [];
    const places = (own.length === 0 ? [null] : own).map((namespace) => ({ environment, namespace }));
    return { operation: 'request.read', places };
  }
  if (outcome.effect !== 'allow') return null;
  const place = freeze === null ? undefined : known.freezes.get(freeze.id);
  if (place !== undefined) return { operation: 'freeze.read', places: [place] };
  if (operation === 'breakglass.open' || operation === 'breakglass.close')
    return { operation: 'breakglass.read', places: EVERYWHERE };
  if (operation === 'revocation.add') return { operation: 'revocation.read', places: EVERYWHERE };
  return null;
}

function toEvent(place: number, leaf: RecordV1): EventView {
  const { request, freeze } = leaf;
  const flags = Array.isArray(leaf.flags) ? (leaf.flags as { flag: string; digest: string | null }[]) : [];
  return eventSchema.parse({
    type: typeOf(leaf),
    place,
    at_ms: leaf.at_ms,
    operation: leaf.operation,
    effect: leaf.outcome.effect,
    decision_id: leaf.id,
    environment: leaf.environment,
    request: request && {
      id: request.id,
      kind: request.kind,
      digest: request.digest,
      from: request.from,
      to: request.to,
    },
    flags: [...new Set(flags.filter(({ digest }) => digest !== null).map(({ flag }) => flag))],
    freeze: freeze && { id: freeze.id, change: freeze.change },
  });
}

function typeOf({ operation, freeze, activates }: RecordV1): EventView['type'] {
  if (freeze !== null) return 'freeze';
  if (activates !== null) return 'policy';
  if (VOTES.includes(operation)) return 'vote';
  if (operation === 'request.comment') return 'comment';
  if (operation === 'revocation.add') return 'revocation';
  return operation.startsWith('breakglass.') ? 'breakglass' : 'request';
}
