import { foldPerson } from '../person-name.ts';
import type { Principal } from '../principal.ts';
import type { BrokerData } from './data.ts';
import type { PolicyInput, Vote } from './input.ts';

/** The name that the human behind a name signs in with, under a policy. */
export function resolvePerson({ broker }: { broker: Pick<BrokerData, 'persons'> }, person: string): string {
  const name = foldPerson(person);
  return broker.persons.get(name) ?? name;
}

/** All names of persons as a policy has them; another policy may have others. */
export function personNames(policy: { hash: string; broker: Pick<BrokerData, 'persons'> }): {
  version: string;
  resolve: (person: string) => string;
} {
  return { version: policy.hash, resolve: (person) => resolvePerson(policy, person) };
}

/** The members of a question that name persons. */
type NamesPersons = Pick<PolicyInput, 'principal' | 'request' | 'approvals' | 'rejections'>;

/**
 * A question with the canonical form of every person, because policies only compare names. The store may still have the form
 * of an earlier version of the broker.
 */
export function withCanonicalPersons<Q extends NamesPersons>(question: Q): Q {
  const { principal, request, approvals, rejections } = question;
  return {
    ...question,
    principal: canonicalPrincipal(principal),
    request: request && {
      ...request,
      proposer: canonicalPrincipal(request.proposer),
      authors: request.authors.map(foldPerson),
    },
    approvals: approvals.map(canonicalVote),
    rejections: rejections.map(canonicalVote),
  };
}

function canonicalVote(vote: Vote): Vote {
  return { ...vote, principal: canonicalPrincipal(vote.principal) };
}

/** What is no principal stays so: the schema of the input then denies it. */
function canonicalPrincipal(principal: Principal): Principal {
  if (typeof principal !== 'object' || principal === null) return principal;
  const { person, started_by } = principal;
  return {
    ...principal,
    ...(typeof person === 'string' ? { person: foldPerson(person) } : {}),
    ...(started_by === undefined ? {} : { started_by: started_by.map(foldPerson) }),
  };
}
