import type { ControlDeps } from '../decide/control.ts';
import { approvalKey, findCounting } from '../policy/approving.ts';
import { resolvePerson } from '../policy/persons.ts';
import type { Policy } from '../policy/policies.ts';
import { approvalsIn, ask } from '../policy/variations.ts';
import { type Principal, schedulerPrincipal } from '../principal.ts';
import { askedAbout } from '../requests/asked.ts';
import { type ChangeRequest, fromRow, loadVotes } from '../requests/request.ts';
import { listAtGate, listByIds } from '../store/inbox.ts';
import type { InboxItem } from './view.ts';

/** Who asks, under which policy. */
export interface Asker {
  principal: Principal;
  person: string;
  /** All names of the person: a job is started by an account of another provider. */
  names: readonly string[];
  policy: Policy;
  now_ms: number;
}

/** What a person could clear of a request. */
export type Clearing = Pick<InboxItem, 'clears' | 'needs_sign_in'>;

/**
 * The missing approvals of a request that a person could give: the policy is asked with their approval and without it, in
 * the present state.
 *
 * @returns null if the policy denies it as it is now, whoever approves
 */
export async function judge(
  deps: ControlDeps,
  { principal, policy, now_ms }: Asker,
  request: ChangeRequest,
): Promise<Clearing | null> {
  const votes = await loadVotes(deps.store.read, request.id);
  const about = { operation: 'request.apply', principal: schedulerPrincipal, request, votes } as const;
  const asked = await askedAbout(deps, { policy, now_ms }, about);
  const { effect, obligations } = await ask(asked, asked.document);
  if (effect === 'deny') return null;
  const missing = effect === 'hold' ? approvalsIn(obligations) : [];
  const counting = await findCounting(asked, obligations, missing.length === 0 ? [] : [principal]);
  const clears = missing
    .filter((obligation) => counting.get(approvalKey(obligation))?.length === 1)
    .map(({ role, organization }) => ({ role, organization: organization ?? null }));
  if (clears.length === 0) return { clears, needs_sign_in: false };
  const vote = await ask(asked, { ...asked.document, operation: 'request.approve', principal });
  return { clears, needs_sign_in: vote.effect === 'hold' };
}

/** The most answers about gates that are remembered for one policy. */
const MAX_REMEMBERED = 20_000;
/** How many requests of a gate are asked about, if the answer to the first ones says nothing about the others. */
const MAX_SAMPLES = 3;

const remembered = new WeakMap<Policy, Map<string, boolean>>();

/**
 * Whether a person could clear what the requests of a gate want, by one of them. What says nothing about the others (it is
 * frozen, or they wrote a part of it) does not close the gate: each request is asked about when it is shown.
 */
export async function mayPass(deps: ControlDeps, asker: Asker, gate: string): Promise<boolean> {
  // Of requests that were stored before there were gates.
  if (gate === '') return true;
  const { policy, person, names, principal } = asker;
  const { id, issuer, groups, claims, token } = principal;
  const key = JSON.stringify([gate, id, person, issuer, groups, claims, token.scope, token.trust_rule]);
  const known = remembered.get(policy) ?? new Map<string, boolean>();
  remembered.set(policy, known);
  const before = known.get(key);
  if (before !== undefined) return before;
  const { read } = deps.store;
  const human = resolvePerson(policy, person);
  const ids = await listAtGate(read, { gate, names, after: '', limit: MAX_SAMPLES });
  for (const row of await listByIds(read, ids)) {
    const request = fromRow(row);
    // That nobody approves their own says nothing about the others, under whatever name they wrote it.
    if (request.authors.some((author) => resolvePerson(policy, author) === human)) continue;
    const found = await judge(deps, asker, request);
    if (found === null) continue;
    if (known.size >= MAX_REMEMBERED) known.clear();
    known.set(key, found.clears.length > 0);
    return found.clears.length > 0;
  }
  return ids.length > 0;
}
