import type { ControlDeps } from '../decide/control.ts';
import { canonicalJson } from '../json.ts';
import { type Compared, compare, serve } from '../preview/preview.ts';
import { type ChangeRequest, fromRow } from '../requests/request.ts';
import { listAppliedIn } from '../store/applied.ts';
import { namedIn } from './flags.ts';
import type { OrganizationChange } from './view.ts';

/** How many applied requests a page looks at. */
const MAX_LOOKS = 200;

/** What is asked. */
export interface ChangesQuery {
  organization: string;
  environment: string;
  since_ms: number;
  /** The position of the page: `<time>:<request>:<flag>`; null for the first one. */
  place: string | null;
  limit: number;
  isReadable: (namespace: string) => boolean;
}

/** The changes that another value or another mention of an organization came from, newest first. */
export async function changesFor(
  { store, clock }: Pick<ControlDeps, 'store' | 'clock'>,
  { organization, environment, since_ms, place, limit, isReadable }: ChangesQuery,
): Promise<{ items: OrganizationChange[]; next: string | null }> {
  const at = readPlace(place);
  const rows = await listAppliedIn(store.read, { environment, since_ms, from: at, limit: MAX_LOOKS + 1 });
  const items: OrganizationChange[] = [];
  for (const row of rows.slice(0, MAX_LOOKS)) {
    const request = fromRow(row);
    const found = await touching(store.read, request, { organization, environment, now_ms: clock() });
    for (const [index, { change, namespace }] of found.entries()) {
      if ((at?.id === row.id && index < at.index) || !isReadable(namespace)) continue;
      if (items.length === limit) return { items, next: `${row.updated_ms}:${row.id}:${index}` };
      items.push(change);
    }
  }
  const rest = rows[MAX_LOOKS];
  return { items, next: rest === undefined ? null : `${rest.updated_ms}:${rest.id}:0` };
}

function readPlace(place: string | null): { ms: number; id: string; index: number } | null {
  if (place === null) return null;
  const [ms = '', id = '', index = ''] = place.split(':');
  return { ms: Number(ms), id, index: Number(index) };
}

/** What a request changed for an organization. */
async function touching(
  db: ControlDeps['store']['read'],
  request: ChangeRequest,
  { organization, environment, now_ms }: { organization: string; environment: string; now_ms: number },
): Promise<{ change: OrganizationChange; namespace: string }[]> {
  const compared = (await compare(db, request)).filter((each) => each.environment === environment);
  return compared.flatMap((each) => {
    const before = serve(each.before, { organization }, now_ms);
    const after = serve(each.after, { organization }, now_ms);
    const named = mention(each, organization);
    const isSame = canonicalJson([before?.value ?? null]) === canonicalJson([after?.value ?? null]);
    // A new flag that nobody sees yet.
    if (each.before === null && each.after?.state.enabled !== true) return [];
    if (isSame && (named === 'no' || named === 'kept')) return [];
    const known = each.after ?? each.before;
    if (known === null) return [];
    const base =
      request.plan.bases.find(({ of }) => of === `state:${each.flag}@${environment}`)?.version ?? 0;
    const change: OrganizationChange = {
      flag: each.flag,
      version: isMoved(each) ? base + 1 : base,
      at_ms: request.updated_ms,
      request_id: request.id,
      decision_id: request.decision_id,
      before: before && { variant: before.variant, value: before.value },
      after: after && { variant: after.variant, value: after.value },
      named,
    };
    return [{ change, namespace: known.definition.namespace }];
  });
}

function isMoved({ before, after }: Compared): boolean {
  return canonicalJson(before?.state ?? null) !== canonicalJson(after?.state ?? null);
}

function mention({ before, after }: Compared, organization: string): OrganizationChange['named'] {
  const was = before !== null && namedIn(before.state).includes(organization);
  const is = after !== null && namedIn(after.state).includes(organization);
  if (was === is) return was ? 'kept' : 'no';
  return is ? 'added' : 'removed';
}
