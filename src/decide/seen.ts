import { BrokerError } from '../errors.ts';
import { PROBLEMS, type ProblemCode } from '../problems.ts';
import { unknownName } from '../unknown-name.ts';
import { authorize, questionOf, useOf } from './authorize.ts';
import { type Call, type ControlDeps, knowsEnvironment, type Named, type Place } from './control.ts';
import { describeCreating } from './creating.ts';
import { type Asking, nearestSeen } from './names.ts';
import { denied } from './refusals.ts';
import { decideFor } from './strangers.ts';
import { write } from './write.ts';

/*
 * Whoever has no grant in a place learns nothing about it, not even that it exists (design invariant 14). This file is
 * the one place of that rule: reads assert it, and the refusals of writes are replaced by it. The record keeps the truth.
 */

/**
 * Asserts that the caller may see something.
 *
 * Whoever may see nothing of the kind anywhere is denied, in the same words whether it exists or not. Whoever may not see
 * it in its places gets the answer for what does not exist.
 *
 * @param decisionId the record of a refusal that this answer replaces; without one, a denial is recorded
 * @throws BrokerError `policy_denied`, or `not_found` with the nearest name that the caller may see
 */
export async function assertSeen(
  deps: ControlDeps,
  call: Call,
  named: Named,
  decisionId?: string,
): Promise<void> {
  const policy = await deps.policies.active(deps.store.read);
  const { operation, places } = named;
  const { principal } = call;
  const asked = named.environment ?? null;
  const environment = knowsEnvironment(policy, asked) ? asked : null;
  const now_ms = deps.clock();
  const decide = (at: { environment: string | null; namespace?: string | null }) =>
    decideFor(policy, questionOf(policy, principal, { operation, ...at }), now_ms);

  const anywhere = decide({ environment });
  if (anywhere.effect !== 'allow') {
    if (decisionId !== undefined) throw denied(anywhere, decisionId).toError();
    await write(deps, call, (writing) => authorize(writing, { operation, environment }));
    // The policy changed in between, and now allows it.
  }
  if (places === null) throw await unknownTo({ policy, principal, now_ms }, named);
  for (const found of places) {
    // An environment that does not exist is the call's own fault, which its refusal describes.
    const place = found.environment === asked ? { ...found, environment } : found;
    const intent = { operation, ...place };
    if (decide(place).effect === 'allow') {
      deps.events.used(useOf(principal, intent));
      continue;
    }
    if (decisionId === undefined) {
      const note = { code: 'not_seen', detail: 'Answered like something that does not exist.' };
      await write(deps, call, async (writing) => {
        await authorize(writing, { ...intent, note });
      });
    }
    throw await unknownTo({ policy, principal, now_ms }, named);
  }
}

/** The answer to a name of something that does not exist, or that the caller may not see. */
async function unknownTo(
  { policy, principal, now_ms }: Omit<Asking, 'db'>,
  { operation, places, pending, unknown, like }: Named,
): Promise<BrokerError> {
  const mayRead = (place: Place) =>
    decideFor(policy, questionOf(policy, principal, { operation: 'request.read', ...place }), now_ms)
      .effect === 'allow';
  const request = places === null ? pending?.find((each) => each.places.every(mayRead))?.id : undefined;
  const names = (await like?.()) ?? [];
  const nearest = nearestSeen({ policy, principal, now_ms }, { operation, name: unknown.name, like: names });
  const more = [describeCreating(request), unknown.more ?? ''].filter((sentence) => sentence !== '');
  return unknownName({ ...unknown, nearest, more: more.join(' ') });
}

/** Refusals that are about the credential or the broker, and so say nothing of what the call names. */
const ABOUT_NOTHING: readonly ProblemCode[] = ['unauthenticated', 'token_invalid', 'rate_limited'];

/**
 * The answer in place of a refusal: itself, if the caller may see everything that the call names.
 *
 * @param namedBy loads what the call names
 */
export async function refusalAsSeen(
  deps: ControlDeps,
  call: Call,
  refusal: BrokerError,
  namedBy: () => Promise<readonly Named[]>,
): Promise<BrokerError> {
  const { code, fields } = refusal;
  if (PROBLEMS[code].status >= 500 || ABOUT_NOTHING.includes(code)) return refusal;
  try {
    for (const named of await namedBy()) await assertSeen(deps, call, named, fields.decision_id);
    return refusal;
  } catch (error) {
    if (error instanceof BrokerError) return error;
    throw error;
  }
}
