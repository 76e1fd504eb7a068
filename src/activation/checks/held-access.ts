import type { Policy } from '../../policy/policies.ts';
import type { Principal } from '../../principal.ts';
import { type Both, type CheckContext, SIDES } from './check.ts';
import { type Answers, alikePlaces, type ComparedPlace, type Grants } from './places.ts';
import { ASKS, type Ask, SOMEBODY_ELSE } from './questions.ts';
import { unlimited } from './samples.ts';

/** One thing that somebody may do: an operation, in what respect, and where. */
export interface Right {
  operation: string;
  /** A tier, a kind of requests, or null. */
  about: string | null;
  /** Null if it is nowhere in particular, as the namespace. */
  environment: string | null;
  namespace: string | null;
}

/** What changes for a principal between two policies. */
export interface Difference {
  gained: Right[];
  lost: Right[];
}

/** What principals are compared by. */
export interface Comparison {
  places: readonly ComparedPlace[];
  /** Somebody who may propose in a place under both policies; null if nobody is known. */
  proposerIn(place: ComparedPlace): Principal | null;
}

/** Finds what changes for principals, by asking both policies what they deny. @returns in the order of the principals */
export async function differencesOf(
  context: Pick<CheckContext, 'policies' | 'scope' | 'now_ms' | 'ask' | 'access'>,
  { places, proposerIn }: Comparison,
  principals: readonly Principal[],
): Promise<Difference[]> {
  const { policies, now_ms } = context;
  const asked = principals.map((principal) => unlimited(principal, now_ms));
  const grants = grantsBy(await context.access(asked));
  const differences: Difference[] = [];
  for (const principal of asked) {
    const alike = alikePlaces(places, policies, grants(principal.id));
    // What is about no place is decided by the last stage.
    const asks = ASKS.filter(({ placed }) => placed || context.scope.isLast);
    const pairs = asks.flatMap((ask) =>
      ask.placed ? alike.map((group) => ({ ask, group })) : [{ ask, group: [] }],
    );
    const answers = await context.ask(
      pairs.map(({ ask, group: [place = null] }) => ({
        question: questionFor({ ask, principal, place, now_ms, policies, proposerIn }),
        now_ms,
      })),
    );
    const difference: Difference = { gained: [], lost: [] };
    for (const [at, { ask, group }] of pairs.entries()) {
      const [was, is] = SIDES.map((side) => answers[at]?.[side].effect === 'deny');
      if (was === is) continue;
      (was === true ? difference.gained : difference.lost).push(...rightsOf(ask, group));
    }
    differences.push(difference);
  }
  return differences;
}

function grantsBy(answers: Answers): (id: string) => Grants {
  const by = {
    active: answers.active && Map.groupBy(answers.active.grants, ({ principal }) => principal),
    candidate: answers.candidate && Map.groupBy(answers.candidate.grants, ({ principal }) => principal),
  };
  return (id) => ({
    active: by.active && (by.active.get(id) ?? []),
    candidate: by.candidate && (by.candidate.get(id) ?? []),
  });
}

function questionFor({
  ask,
  principal,
  place,
  now_ms,
  policies,
  proposerIn,
}: {
  ask: Ask;
  principal: Principal;
  place: ComparedPlace | null;
  now_ms: number;
  policies: Both<Policy>;
  proposerIn: Comparison['proposerIn'];
}) {
  const proposer = place === null ? null : proposerIn(place);
  // Whether something may be applied depends on its proposer too: without another one, it is the caller's own.
  const fallback = ask.operation === 'request.apply' ? principal : SOMEBODY_ELSE;
  const environment = place === null ? null : environmentIn(policies, place.environment);
  return ask.question({
    principal,
    place: place === null || environment === null ? null : { environment, namespace: place.namespace },
    now_ms,
    other: proposer === null ? fallback : unlimited(proposer, now_ms),
  });
}

/** Each policy is told its own kind of the environment. */
function environmentIn({ active, candidate }: Both<Policy>, key: string) {
  const kind = (active.broker.environments.get(key) ?? candidate.broker.environments.get(key))?.kind;
  return { key, kind: kind ?? 'unknown' };
}

function rightsOf({ operation, about }: Ask, group: readonly ComparedPlace[]): Right[] {
  if (group.length === 0) return [{ operation, about, environment: null, namespace: null }];
  return group.map(({ environment, namespace }) => ({ operation, about, environment, namespace }));
}
