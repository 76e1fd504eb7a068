import { type Call, type ControlDeps, type Place, planContextOf } from '../decide/control.ts';
import type { Plan, RequestContent } from '../decide/plan.ts';
import { authorizeRead } from '../decide/read.ts';
import { assertSeen } from '../decide/seen.ts';
import { personNames } from '../policy/persons.ts';
import type { Policy } from '../policy/policies.ts';
import type { Principal } from '../principal.ts';
import { namedByContent } from '../requests/named.ts';
import { assertStart, assertStartsBefore, draftOf } from '../requests/propose.ts';
import { type ChangeRequest, placesOf } from '../requests/request.ts';
import { expiryOf } from '../requests/settle.ts';
import { RunAgain } from '../store/run-again.ts';

/** Who would propose, when, and under which policy. */
export interface DraftContext {
  policy: Policy;
  now_ms: number;
  principal: Principal;
}

/** The most things that one plan has prepared: a bundle is built, compiled, and its successor searched. */
const MAX_PREPARATIONS = 10;

/** A request that nobody has proposed, and who would. */
export interface Draft {
  request: ChangeRequest;
  context: DraftContext;
}

/**
 * The request that a content would become, for a caller who may see everything in it. Strangers are told nothing of what
 * they sent, not even that it is invalid.
 */
export async function seenDraft(
  deps: ControlDeps,
  call: Call,
  content: RequestContent,
  contextOf: () => Promise<DraftContext>,
): Promise<Draft> {
  await authorizeRead(deps, call, { operation: 'request.read' });
  for (const named of await namedByContent(deps, content)) await assertSeen(deps, call, named);
  const context = await contextOf();
  const request = await judgedDraft(deps, context, content);
  await assertSeen(deps, call, {
    operation: 'request.read',
    places: placesOf(request, deps.kinds),
    unknown: { what: 'place', name: describePlaces(placesOf(request, deps.kinds)) },
  });
  return { request, context };
}

/** Places in words, for who may not see them. */
function describePlaces(places: readonly Place[]): string {
  const words = places.map(({ environment, namespace }) =>
    [namespace ?? 'no namespace', ...(environment === null ? [] : [environment])].join('@'),
  );
  return words.join(', ');
}

/** The request that a content would become. Whether a key is taken by a flag of others is not told. */
async function judgedDraft(
  deps: ControlDeps,
  context: DraftContext,
  content: RequestContent,
): Promise<ChangeRequest> {
  return draft(deps, context, content, await planned(deps, context, content, { onlyJudged: true }));
}

/**
 * The request that a proposal would make now, with its digest. Only for whoever would not be denied: it tells faults of
 * the content.
 *
 * @param limits those of the policy's answer to the proposal
 * @throws BrokerError `invalid_change` where the proposal would
 */
export async function proposedDraft(
  deps: ControlDeps,
  context: DraftContext,
  content: RequestContent,
  limits: Readonly<Record<string, number>>,
): Promise<ChangeRequest> {
  const plan = await planned(deps, context, content, {});
  assertStart(content, context.now_ms);
  assertStartsBefore(content, expiryOf(limits, context.now_ms));
  return draft(deps, context, content, plan);
}

function draft(
  deps: ControlDeps,
  { policy, now_ms, principal }: DraftContext,
  content: RequestContent,
  plan: Plan,
): ChangeRequest {
  return draftOf({ deps, call: { principal }, now_ms, policy }, content, plan);
}

/** Plans on committed state. What a write would have prepared by the writer is prepared here. */
async function planned(
  deps: ControlDeps,
  { policy, now_ms, principal }: DraftContext,
  content: RequestContent,
  how: { onlyJudged?: true },
): Promise<Plan> {
  const revocations = deps.revocations.under(personNames(policy));
  const context = { ...planContextOf({ now_ms, policy, deps, revocations }, principal), ...how };
  for (let left = MAX_PREPARATIONS; ; left -= 1) {
    try {
      return (await deps.kinds.of(content.kind).plan(deps.store.read, content, context)).plan;
    } catch (error) {
      if (!(error instanceof RunAgain) || left === 0) throw error;
      await error.prepare();
    }
  }
}
